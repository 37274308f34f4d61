"""Run the server as its operators do, and check what they are told (what `make ops-test` runs).

    tools/fer ops-test                   every check: exact counters, dashboard, reloads under load, rolling restarts
    tools/fer ops-test --program P       another program than target/release/fer-serve
    tools/fer ops-test --requests N      the number sent through the rolling restart (default 100000; nginx gets a tenth)
    tools/fer ops-test --only reload     only checks whose name contains this; may be given several times

Needs prometheus, haproxy and nginx from Debian or Ubuntu; without them the checks that need them are skipped, with a
message. Everything stays on loopback.
"""

import argparse
from pathlib import Path

from fer_tools.shared.project import MODEL, add_only, add_program
from fer_tools.shared.report import run_all


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    add_program(parser, "--program")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--requests", type=int, default=100_000, help="through the rolling restart (default: 100000)")
    add_only(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the checks."""
    from fer_tools.ops_test import checks

    return run_all(checks.Context(arguments.program, arguments.model.resolve(), arguments.requests), arguments.only)
