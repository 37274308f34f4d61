"""Print the Python of a virtual environment, which is installed first if it is not there yet.

    tools/fer python bench          what benches/compare/run and benches/served/run use

COMPARE_PYTHON names another Python that has the packages.
"""

import argparse
import os

from fer_tools.shared import environment


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.add_argument("name", choices=sorted(environment.extras()), help="an extra of tools/pyproject.toml")


def run(arguments: argparse.Namespace) -> int:
    """Prints the path."""
    print(os.environ.get("COMPARE_PYTHON") or environment.create(arguments.name) / "bin" / "python")
    return 0
