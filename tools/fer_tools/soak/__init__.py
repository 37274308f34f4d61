"""Run a server for hours under mixed traffic, or under attack, and report what failed or grew.

    tools/fer soak [--minutes 120] [--share 0.8] [--server target/release/fer-serve] [--model model]
    tools/fer soak --attacks [--seconds 20]

It starts the server itself, finds the highest rate of the mix that it can answer, then sends requests at random moments (a
Poisson process) at that share of it: images of three sizes, several in one request, photos to /faces, /v2, garbage, and
clients that disconnect. Every minute the model is loaded again. At the end it prints what failed, how memory and
descriptors grew, and p99 of the first and the last tenth, and ends with exit code 1 if a good request failed, or (from half
an hour on, where a slope means something) if they grew or p99 rose by more than a tenth.

With --attacks it measures p50 and p99 of good requests alone and then during each attack: idle connections, heads and
bodies that drip, resets, floods of HTTP/2. Only on this machine: server and clients share its processors.
"""

import argparse
import asyncio
from pathlib import Path

from fer_tools.shared.project import MODEL, add_program


def share(text: str) -> float:
    """A number between 0 and 1."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("lies between 0 and 1")
    return value


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.add_argument("--minutes", type=float, default=120, help="length (default: 120)")
    parser.add_argument("--share", type=share, default=0.8, help="of the server's highest rate (default: 0.8)")
    add_program(parser, "--server")
    parser.add_argument("--model", type=Path, default=MODEL, help="the model folder")
    parser.add_argument("--attacks", action="store_true", help="measure good requests during attacks instead")
    parser.add_argument("--seconds", type=float, default=20, help="length of each attack (default: 20)")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections of that attack (default: 10000)")


def run(arguments: argparse.Namespace) -> int:
    """Soaks or attacks."""
    # Not at the top: the attacker is started as a module of this package.
    from fer_tools.soak import attacks, traffic
    from fer_tools.soak.server import Soaked

    with Soaked(arguments.server, arguments.model.resolve()) as server:
        server.wait_ready(600)
        if arguments.attacks:
            return asyncio.run(attacks.measure(server, arguments.seconds, arguments.idle))
        return asyncio.run(traffic.soak(server, arguments.minutes * 60, arguments.share))
