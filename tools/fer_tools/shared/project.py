"""This repository: its folders, its version, its programs."""

import argparse
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from fer_tools.shared.report import Failed, Skipped

TOOLS = Path(__file__).resolve().parents[2]
ROOT = TOOLS.parent
MODEL = ROOT / "model"


def version() -> str:
    """The version in Cargo.toml."""
    found = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise Failed("Cargo.toml names no version")
    return found.group(1)


def cache() -> Path:
    """`$XDG_CACHE_HOME/fer-serve`; a relative XDG_CACHE_HOME is ignored, as its specification says."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "fer-serve"


def add_program(parser: argparse.ArgumentParser, name: str, program: str = "fer-serve") -> None:
    """An argument, positional or not, that names a program of this project; without it, what `make build` leaves."""

    def existing(text: str) -> Path:
        if not Path(text).is_file():
            raise argparse.ArgumentTypeError(f"there is no {text}; run `make build`, or name another program")
        return Path(text).resolve()

    optional = {} if name.startswith("-") else {"nargs": "?"}
    default = str(ROOT / "target" / "release" / program)
    parser.add_argument(name, type=existing, default=default, help=f"default: target/release/{program}", **optional)


def add_only(parser: argparse.ArgumentParser) -> None:
    """The argument that chooses among the checks."""
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="only checks with this in the name; may be given several times"
    )


def installed(name: str, package: str) -> str:
    """The path of a program of the system, or Skipped with what to install."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise Skipped(f"{name} is not installed (Debian, Ubuntu: sudo apt-get install {package})")
    return found


def rustface_photo() -> Path:
    """The photo that the crate rustface carries: 29 people in 1927."""
    if not shutil.which("cargo"):
        raise Skipped("cargo is not installed; its crate rustface carries the photo")
    metadata = json.loads(subprocess.check_output(["cargo", "metadata", "--format-version=1", "--locked"], cwd=ROOT))
    (package,) = (package for package in metadata["packages"] if package["name"] == "rustface")
    return Path(package["manifest_path"]).parent / "test.png"
