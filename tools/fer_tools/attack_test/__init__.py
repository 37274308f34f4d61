"""Attack the server and assert bounds: time, memory, and what others notice (what `make attack-test` runs).

    tools/fer attack-test [PROGRAM]              every attack, some 10 minutes; PROGRAM is target/release/fer-serve
    tools/fer attack-test --only webp            only attacks whose name contains this; may be given several times
    tools/fer attack-test --quick                a few of them, without bounds on the good requests' times (in `make test`)
    tools/fer attack-test --container 512m       the same against the container image with that much memory; needs docker

Hostile images of every format come ten times a second (those of megabytes every other second), along with good requests, 20
a second. Asserted: no answer says that the server failed, all come in time; the process lives; processor time a request;
memory of the server and its decoders; all good requests are answered, their p99 is at most three times the normal one, and
back to it 3 s after the attack. Then photos of 12 megapixels faster than they can be decoded, and three good images of 48
megapixels at once; these are drawn with packages from PyPI, in the environment of faces-test. Then a FIFO and a file of gigabytes in
the place of the model's files. Prints a table; exit code 1 with what failed.
"""

import argparse
from pathlib import Path

from fer_tools.shared.project import add_only, add_program
from fer_tools.shared.report import Skipped


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    add_program(parser, "program")
    add_only(parser)
    parser.add_argument("--quick", action="store_true", help="a few attacks, no bounds on times")
    parser.add_argument("--seconds", type=float, default=5, help="length of each attack (default: 5)")
    parser.add_argument("--container", metavar="MEMORY", help="attack the image in a container with this memory, such as 512m")
    parser.add_argument("--decode-memory", metavar="BYTES", help="passed on to the server")
    parser.add_argument("--max-buffered", metavar="BYTES", help="passed on to the server")


def run(arguments: argparse.Namespace) -> int:
    """Starts the server and attacks it."""
    from fer_tools.attack_test import target
    from fer_tools.attack_test.runs import run_all

    try:
        with target.of(arguments) as attacked:
            return run_all(attacked, arguments)
    except Skipped as skipped:
        print(f"*** SKIPPED: the attacks on a container, because {skipped}")
        return 0
