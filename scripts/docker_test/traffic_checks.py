"""Checks with traffic: a rolling restart behind a proxy, and the cost of the container itself."""

import os
import re
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, List, Optional, Tuple

from . import pictures, rolling
from .docker import Container, docker, free_port, status, wait_for
from .report import Skipped, check, require
from .rolling import program

LEAST_SHARE = 0.95  # of the bare program's throughput
ROUNDS = 7


def restart(context: object, template: str, command: Callable[[str], List[str]]) -> str:
    """A rolling restart of containers."""

    def start(port: Optional[int]) -> Container:
        return Container(context.image, env=rolling.ENVIRONMENT, port=port)  # type: ignore[attr-defined]

    return rolling.rolling_restart(start, template, command)


@check("traffic: rolling restart behind haproxy")
def behind_haproxy(context: object) -> str:
    return restart(context, rolling.HAPROXY, rolling.haproxy())


@check("traffic: rolling restart behind nginx")
def behind_nginx(context: object) -> str:
    return restart(context, rolling.NGINX, rolling.nginx())


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def turn(wrk: str, script: str, port: int, pid: int) -> Tuple[float, int, float]:
    """With 16 connections: requests a second, requests, processor seconds."""
    before = processor_seconds(pid)
    command = [wrk, "-t1", "-c16", "-d3s", "--timeout=30s", "-s", script, f"http://127.0.0.1:{port}/predict"]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    require("Non-2xx" not in text and "Socket errors" not in text, f"wrk saw errors:\n{text}")
    count, rate = re.search(r"(\d+) requests in", text), re.search(r"Requests/sec:\s*([\d.]+)", text)
    require(count and rate, f"wrk said:\n{text}")
    return float(rate.group(1)), int(count.group(1)), processor_seconds(pid) - before  # type: ignore[union-attr]


@check("traffic: throughput beside the bare program's")
def throughput(context: object) -> str:
    """The same files, once in the container and once as a plain process, in turns.

    A server that is kept busy answers as many requests a second as a request's processor time lets it, and that,
    unlike the rate itself, hardly changes with what else runs on the machine.
    """
    wrk = program("wrk", "wrk")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        boxed = stack.enter_context(Container(context.image))  # type: ignore[attr-defined]
        docker("cp", f"{boxed.id}:/app", folder)
        app = Path(folder, "app")
        works = subprocess.run([app / "bin" / "fer-serve", "--version"], capture_output=True, check=False)
        if works.returncode != 0:
            raise Skipped("the image's program does not run on this system by itself: " + works.stderr.decode()[:200])
        port = free_port()
        environment = {**os.environ, "FER_MODEL": str(app / "model"), "FER_LISTEN": f"127.0.0.1:{port}"}
        bare = subprocess.Popen([app / "bin" / "fer-serve"], env=environment, stderr=subprocess.DEVNULL)
        stack.callback(bare.wait, 30)
        stack.callback(bare.kill)
        boxed.wait_ready()
        wait_for("bare server", lambda: status(port, "/readyz") == 200, 20)

        Path(folder, "face.png").write_bytes(pictures.png(48, 48))
        script = Path(folder, "post.lua")
        script.write_text(
            f'local f = io.open("{folder}/face.png", "rb")\n'
            'wrk.method = "POST"\nwrk.body = f:read("*a")\nwrk.headers["content-type"] = "image/png"\n'
        )
        pair = [("container", boxed.port, boxed.state()["Pid"]), ("bare", port, bare.pid)]
        turns: dict = {"container": [], "bare": []}
        for number in range(ROUNDS):
            for name, where, pid in pair if number % 2 else reversed(pair):
                turns[name].append(turn(wrk, str(script), where, pid))
        rates = {name: max(rate for rate, _, _ in values) for name, values in turns.items()}
        costs = {name: sum(seconds for _, _, seconds in values) / sum(count for _, count, _ in values) for name, values in turns.items()}
        share = costs["bare"] / costs["container"]
        text = (
            f"{costs['container'] * 1000:.2f} ms of processor time a request in the container, "
            f"{costs['bare'] * 1000:.2f} ms bare: {share:.1%} of its throughput "
            f"(at best {rates['container']:.0f} and {rates['bare']:.0f} requests/s here and now)"
        )
        require(share >= LEAST_SHARE, f"{text}; at least {LEAST_SHARE:.0%} are wanted")
        return text
