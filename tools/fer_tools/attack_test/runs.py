"""The attacks in their order."""

import argparse
import asyncio
import os
import subprocess
import tempfile
import time
from pathlib import Path

from fer_tools.attack_test import faults
from fer_tools.attack_test.attacks import CLIENTS, IMAGES, Answer, Attack, send, steadily
from fer_tools.attack_test.bench import Bench, Gone, Row, Target, counted
from fer_tools.shared import environment
from fer_tools.shared.asynchttp import Address, message
from fer_tools.shared.report import percentile

QUICK_SECONDS, QUICK_RATE = 1, 4
# Photos: connections of the closed loop; requests a second of the open one, at least this and so many times the capacity; the
# share of the capacity that is still done.
CONNECTIONS, RATE, TIMES, SHARE = 8, 40, 1.25, 0.9
# Seconds: the good answers' p99, and that of the refusals.
DONE, REFUSED = 1.5, 1.0


def drawn(folder: Path, megapixels: int, kind: str) -> bytes:
    """A photo, drawn in the environment of faces-test, which has what that needs."""
    path = folder / f"{megapixels}-{kind}.jpg"
    python = environment.create("faces-test") / "bin" / "python"
    subprocess.run([str(python), str(Path(__file__).with_name("photos.py")), str(megapixels), kind, str(path)], check=True)
    return path.read_bytes()


async def closed_loop(server: Address, request: bytes, seconds: float) -> list[Answer]:
    """The answers on connections that each send as soon as they have one."""
    ends, answers = time.monotonic() + seconds, []

    async def work() -> None:
        while time.monotonic() < ends:
            answer = await send(server, request)
            answers.append(answer)
            if answer.status != 200:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return answers


def p99(answers: list[Answer], status: int) -> float:
    """Of the seconds until the answers of that status; 0 without any."""
    return percentile([answer.seconds for answer in answers if answer.status == status] or [0.0], 0.99)


def photos_open_loop(bench: Bench, folder: Path, seconds: float) -> None:
    """Photos faster than they can be decoded: as many as before are done, the rest is refused at once."""
    request = message("POST", "/predict", "image/jpeg", drawn(folder, 12, "sequential"))
    name, figures = "photos of 12 megapixels", ""

    def done(row: Row) -> float:
        return sum(answer.status == 200 for answer in row.answers) / seconds

    def attempt() -> Row:
        nonlocal figures
        # The capacity is measured right before: other programs may take a part of the processors.
        with bench.beside(name, seconds) as closed:
            closed.answers = asyncio.run(closed_loop(bench.address, request, seconds))
        bench.judge(name, closed.answers)
        rate = max(RATE, TIMES * done(closed))
        with bench.beside(name, seconds) as row:
            row.answers = asyncio.run(steadily(bench.address, request, rate, int(rate * seconds)))
        bench.judge(name, row.answers)
        slowest, refused = p99(row.answers, 200), p99(row.answers, 503)
        limits = [
            (done(row) < SHARE * done(closed), f"{done(row):.1f}/s are done, of {done(closed):.1f}/s"),
            (slowest > DONE, f"p99 {slowest:.2f} s"),
            (refused > REFUSED, f"a refusal takes {refused:.2f} s (p99)"),
        ]
        row.late += closed.late + [text for late, text in limits if late]
        figures = f"{CONNECTIONS} connections: {done(closed):.1f}/s are done; {rate:.0f}/s: {done(row):.1f}/s, p99 {slowest:.2f} s, "
        figures += f"refusals {refused:.2f} s"
        return row

    row = bench.best(name, attempt)
    print(f"| {name} | {len(request):,} B | | | {figures}: {counted(row.answers)} | {row.cells()} |", flush=True)


def large_photos(bench: Bench, folder: Path) -> None:
    """Three good images at once, each of which takes much memory."""
    body = drawn(folder, 48, "progressive")
    attack = Attack("three progressive JPEGs of 48 megapixels at once", lambda: body, at_once=3)
    bench.run(attack, 0)


def quickly(bench: Bench) -> None:
    """A few attacks, for a second each."""
    bench.measure_normal(2)
    for attack in IMAGES + CLIENTS:
        if attack.quick:
            bench.run(attack._replace(rate=min(attack.rate, QUICK_RATE)), QUICK_SECONDS)


def wholly(bench: Bench, arguments: argparse.Namespace) -> None:
    """All attacks, or those that the arguments choose."""

    def chosen(name: str) -> bool:
        return not arguments.only or any(part.lower() in name.lower() for part in arguments.only)

    bench.measure_normal(8)
    for attack in IMAGES + CLIENTS:
        if chosen(attack.name):
            bench.run(attack, arguments.seconds)
    with tempfile.TemporaryDirectory() as folder:
        if chosen("photos of 12 megapixels"):
            photos_open_loop(bench, Path(folder), 2 * arguments.seconds)
        if chosen("three progressive JPEGs"):
            large_photos(bench, Path(folder))
    if bench.target.program and chosen("files"):
        bench.failures += faults.check(bench.target.program)


def run_all(target: Target, arguments: argparse.Namespace) -> int:
    """Runs the attacks; the exit code."""
    bench = Bench(target, arguments.quick)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}.")
    try:
        if arguments.quick:
            quickly(bench)
        else:
            wholly(bench, arguments)
    except Gone:
        pass
    print(f"\n{len(bench.failures)} bounds did not hold." if bench.failures else "\nAll bounds held.")
    for failure in bench.failures:
        print(f"*** FAILED: {failure}")
    return 1 if bench.failures else 0
