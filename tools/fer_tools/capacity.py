"""Measure what a running server can take, and compare a queueing estimate with it.

    tools/fer capacity http://127.0.0.1:8080 --workers 1 [--image face.png] [--seconds 20] [--shares 0.3,0.5,0.7,0.8,0.9]

First it finds the highest rate (many connections, each sending as soon as it has its answer), then it sends requests at
random moments (a Poisson process) at shares of that rate and measures from the moment a request was due, so that a server
which falls behind cannot hide it. Next to the measured times stand those of an M/D/c queue: c workers, each of which takes
workers/rate seconds. Give the server and this tool processors of their own (taskset), or they take time from each other.
Prints a Markdown table. Only for servers on this machine.
"""

import argparse
import asyncio
import math
import statistics
import time
from pathlib import Path
from urllib.parse import urlsplit

from fer_tools.shared import images
from fer_tools.shared.asynchttp import Address, Pool, closed_loop, message, open_loop
from fer_tools.shared.report import percentile


class Sender:
    """Sends one image again and again, and counts the answers that are not 200."""

    def __init__(self, address: Address, image: bytes) -> None:
        kind = "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"
        self.pool, self.message, self.bad = Pool(address), message("POST", "/predict", kind, image), 0

    async def send(self) -> None:
        """One request and its whole answer."""
        status, _ = await self.pool.exchange(self.message)
        self.bad += status != 200


def waiting(share: float, workers: int, service: float) -> float:
    """Mean wait in an M/D/c queue: half of Erlang C's, because service always takes the same time."""
    offered = share * workers
    term = total = 1.0
    for k in range(1, workers):
        term *= offered / k
        total += term
    last = term * offered / workers / (1 - share)
    return last / (total + last) * service / (workers * (1 - share)) / 2


async def measure(arguments: argparse.Namespace) -> None:
    """Prints the table."""
    image = arguments.image.read_bytes() if arguments.image else images.png(48, 48)
    sender = Sender(arguments.url, image)
    await closed_loop(sender.send, 4, 2)
    top = max([await closed_loop(sender.send, connections, arguments.seconds / 4) for connections in (8, 16, 32, 64)])
    service = arguments.workers / top
    alone: list[float] = []
    for _ in range(200):
        began = time.perf_counter()
        await sender.send()
        alone.append(time.perf_counter() - began)
    base = statistics.median(alone)
    print(f"Most: {top:.0f} requests/s ({arguments.workers} workers); one at a time: {base * 1000:.2f} ms\n")
    print("| share | sent/s | mean | p50 | p99 | estimated mean |")
    print("| --- | --- | --- | --- | --- | --- |")
    for share in arguments.shares:
        sender.bad = 0
        times: list[float] = []

        async def timed(due: float, times: list[float] = times) -> None:
            await sender.send()
            times.append(time.perf_counter() - due)

        await open_loop(timed, share * top, arguments.seconds)
        sent = len(times) / arguments.seconds
        estimate = base + waiting(sent / top, arguments.workers, service) if sent < top else math.inf
        measured = (statistics.fmean(times), percentile(times, 0.5), percentile(times, 0.99), estimate)
        cells = " | ".join(f"{1000 * seconds:.2f} ms" for seconds in measured)
        print(f"| {share:.0%} | {sent:.0f} | {cells} |" + (f" {sender.bad} not 200" if sender.bad else ""))


def shares(text: str) -> list[float]:
    """Numbers between 0 and 1, with commas between them."""
    values = [float(part) for part in text.split(",")]
    if not all(0 < value < 1 for value in values):
        raise argparse.ArgumentTypeError("shares lie between 0 and 1")
    return values


def local(url: str) -> Address:
    """The address in a URL of this machine."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise argparse.ArgumentTypeError("only servers on this machine are measured")
    return Address(parts.hostname, parts.port or 80)


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.add_argument("url", type=local, help="such as http://127.0.0.1:8080")
    parser.add_argument("--workers", type=int, required=True, help="the server's worker threads")
    parser.add_argument("--image", type=Path, help="what to send (default: a 48×48 PNG)")
    parser.add_argument("--seconds", type=float, default=20, help="length of each measurement")
    parser.add_argument("--shares", type=shares, default="0.3,0.5,0.7,0.8,0.9", help="of the highest rate")


def run(arguments: argparse.Namespace) -> int:
    """Measures."""
    asyncio.run(measure(arguments))
    return 0
