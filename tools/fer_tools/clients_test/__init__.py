"""Drive the server with the clients its users bring (what `make clients-test` runs).

    tools/fer clients-test [PROGRAM]        every check; PROGRAM is target/release/fer-serve
    tools/fer clients-test --only triton    only checks whose name contains this; may be given several times

tritonclient and perf_analyzer, unmodified, and every example of docs/clients.md. They come from PyPI into the user's cache;
perf_analyzer needs glibc 2.38, and where that is older but apt is there, Debian 13's is put next to it. Needs pip, node 20,
curl and cargo (whose crate rustface carries the photo for /faces). Traffic goes to loopback only.
"""

import argparse

from fer_tools.shared.project import add_only, add_program
from fer_tools.shared.report import run_all
from fer_tools.shared.server import Server


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    add_program(parser, "program")
    add_only(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the checks against one server."""
    from fer_tools.clients_test import checks

    # The photo is large, and the program may be unoptimised.
    with Server(arguments.program, "--drain-delay", "0s", "--request-timeout", "10m") as server:
        server.wait_ready()
        return run_all(checks.Context(server), arguments.only)
