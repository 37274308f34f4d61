"""Check the server against openapi.yaml with generated requests, and openapi.yaml with a linter (`make contract-test`).

    tools/fer contract-test [PROGRAM]       lint, then at least 2000 cases; PROGRAM is target/release/fer-serve
    tools/fer contract-test --cases 20000   that number of cases
    tools/fer contract-test --seed 7        begin with this seed; each round takes the next one

schemathesis with all its checks comes from PyPI into the user's cache, Redocly's linter from npm. The server has an API key,
and its limits are those that the schemas state. Needs pip; without node and npm the lint is skipped, with a message.
Traffic goes to loopback only.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fer_tools.shared import environment
from fer_tools.shared.project import ROOT, TOOLS, add_program
from fer_tools.shared.server import Server

HERE = Path(__file__).resolve().parent
KEY = "0123456789abcdef0123456789abcdef"
# Examples an operation and round, at least and at most, and the part of all cases they are. The cases from the schemas'
# corners are the same in every round, so a long run has large rounds.
EXAMPLES, SHARE = (100, 1000), 40
# The limits that the schemas state; the network is the one that loads fastest, for /admin/reload.
FLAGS = ["--max-images", "4096", "--max-faces", "256", "--request-timeout", "10m", "--engine", "torchscript", "--precision", "f32"]


def lint() -> bool:
    """Whether Redocly finds no error."""
    if not shutil.which("npm"):
        print("*** SKIPPED: the linter, because npm is not installed", flush=True)
        return True
    package = environment.pinned("redocly")
    npm = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", package, "--prefix"]
    home = environment.once(environment.folder("contract-test") / package, lambda home: subprocess.run([*npm, str(home)], check=True))
    program = home / "node_modules" / ".bin" / "redocly"
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    command = [str(program), "lint", "--config", str(HERE / "redocly.yaml"), "--format", "stylish", str(ROOT / "openapi.yaml")]
    done = subprocess.run(command, env={**os.environ, **quiet}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip() and not re.search("[║╔╚]", line)]
    print("\n".join(lines), flush=True)
    return done.returncode == 0


def generate(port: int, seed: int, examples: int) -> tuple[int, bool]:
    """One round: the number of cases, and whether all passed."""
    with tempfile.TemporaryDirectory() as work:
        # schemathesis leaves its examples in the folder where it starts, and looks there for the files its settings name.
        for name in ["hooks.py", "schemathesis.toml"]:
            shutil.copy(HERE / name, work)
        command = [
            str(Path(sys.prefix) / "bin" / "schemathesis"), "run", str(ROOT / "openapi.yaml"), "--url", f"http://127.0.0.1:{port}",
            "--checks", "all", "--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure",
            "--header", f"Authorization: Bearer {KEY}", "--request-timeout", "600",
        ]  # fmt: skip
        env = {**os.environ, "PYTHONPATH": str(TOOLS), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=work, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = re.search(r"([\d,]+) generated", done.stdout)
    count = int(found.group(1).replace(",", "")) if found else 0
    if done.returncode != 0 or not count:
        print("\n".join(line[:1000] for line in done.stdout.splitlines()), flush=True)
    return count, done.returncode == 0 and count > 0


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    add_program(parser, "program")
    parser.add_argument("--cases", type=int, default=2000, help="generate at least this number (default: 2000)")
    parser.add_argument("--seed", type=int, default=1)


def run(arguments: argparse.Namespace) -> int:
    """Lints and sends."""
    linted = lint()
    cases, seed, good = 0, arguments.seed, True
    examples = min(max(arguments.cases // SHARE, EXAMPLES[0]), EXAMPLES[1])
    with tempfile.NamedTemporaryFile("w") as keys:
        print(KEY, file=keys, flush=True)
        with Server(arguments.program, *FLAGS, "--api-keys", keys.name) as server:
            server.wait_ready()
            while good and cases < arguments.cases:
                count, good = generate(server.port, seed, examples)
                cases += count
                print(f"seed {seed}: {count} cases, {cases} of {arguments.cases}: {'no failure' if good else '*** FAILED'}", flush=True)
                seed += 1
    print(f"{cases} cases: {'no failure' if good else '*** FAILED'}; openapi.yaml: {'no error' if linted else '*** FAILED'}")
    return 0 if linted and good else 1
