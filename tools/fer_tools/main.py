"""`tools/fer NAME …`: finds the command, reads its arguments, and runs it in its virtual environment."""

import argparse
import importlib
import pkgutil
import sys

import fer_tools
from fer_tools.shared import environment
from fer_tools.shared.report import Failed

NO_COMMANDS = {"main", "shared"}


def commands() -> dict[str, str]:
    """Each command's name and the module that holds it."""
    modules = (module.name for module in pkgutil.iter_modules(fer_tools.__path__))
    return {name.replace("_", "-"): f"fer_tools.{name}" for name in modules if name not in NO_COMMANDS}


def main(words: list[str]) -> int:
    found = commands()
    name, *rest = words or ["--help"]
    if name in ("-h", "--help"):
        print("usage: tools/fer NAME [ARGUMENT …]\n")
        for known, module in found.items():
            print(f"  {known:16} {(importlib.import_module(module).__doc__ or '').splitlines()[0]}")
        return 0
    if name not in found:
        print(f"tools/fer: there is no {name}; the commands are {', '.join(found)}", file=sys.stderr)
        return 2
    command = importlib.import_module(found[name])
    parser = argparse.ArgumentParser(
        prog=f"tools/fer {name}", description=command.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.arguments(parser)
    arguments, others = parser.parse_known_args(rest)
    if others and not hasattr(arguments, "others"):
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    arguments.others = others
    if name in environment.extras():
        environment.enter(name)
    try:
        return command.run(arguments)
    except Failed as failed:
        print(f"{name}: {failed}", file=sys.stderr)
        return 1
