"""Virtual environments in the user's cache, one for each extra of pyproject.toml."""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_tools.shared.project import TOOLS, cache

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10: its pip carries the same parser
    from pip._vendor import tomli as tomllib

PYPROJECT = tomllib.loads((TOOLS / "pyproject.toml").read_text(encoding="utf-8"))


def extras() -> dict[str, list[str]]:
    """The packages that each command needs."""
    return PYPROJECT["project"]["optional-dependencies"]


def pinned(name: str) -> Any:
    """A package, or a list of packages, that is fetched without its dependencies."""
    return PYPROJECT["tool"]["fer-tools"][name]


def folder(name: str) -> Path:
    """Where the environment of an extra lies; another place when a list of packages or Python changes."""
    key = repr(extras()[name]) + sys.version
    return cache() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def pip(home: Path, *words: str) -> None:
    """Runs an environment's pip. Its messages go to stderr."""
    command = [str(home / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, stdout=sys.stderr, check=True)


def create(name: str) -> Path:
    """The folder of an extra's environment, which is installed first if it is not there yet."""
    home = folder(name)

    def install(home: Path) -> None:
        print(f"{name}: installing {', '.join(extras()[name])} into {home}", file=sys.stderr, flush=True)
        venv.create(home, with_pip=True)
        pip(home, "install", "--no-compile", *extras()[name])

    return once(home, install)


def once(home: Path, fetch: Callable[[Path], object]) -> Path:
    """A folder that `fetch` fills, unless it did so before. What an interrupted run left is removed first."""
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        fetch(home)
        (home / "complete").touch()
    return home


def apart(name: str, package: str, *flags: str) -> Path:
    """A folder with one package without its dependencies, fetched by the environment of an extra."""
    fetch = ["install", "--no-compile", "--no-deps", "--only-binary=:all:", *flags]
    return once(folder(name) / package, lambda home: pip(folder(name), *fetch, "--target", str(home), package))


def enter(name: str) -> None:
    """Runs this command again with the Python of its environment, unless it is that one."""
    home = create(name)
    if Path(sys.prefix).resolve() != home.resolve():
        python = str(home / "bin" / "python")
        os.execv(python, [python, *sys.argv])
