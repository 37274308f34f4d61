"""The effect of the flags: each alone, the others at their defaults, in turns (`benches/served/run --knobs`)."""

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import load
import report

# What is measured: 48×48 PNGs on a number of connections, large JPEGs, or an overload.
Look = Callable[[int, dict[str, load.Request]], load.Seen]


def faces(connections: int) -> Look:
    return lambda port, requests: load.load(port, requests["face"], connections, seconds=4)


def photos(port: int, requests: dict[str, load.Request]) -> load.Seen:
    return load.load(port, requests["photo"], 16, seconds=4)


def overload(port: int, requests: dict[str, load.Request]) -> load.Seen:
    """1,024 connections, each of which sends again at once."""
    return load.load(port, requests["face"], 1024, seconds=6)


CASES: list[tuple[str, str, Look]] = [
    *((f"--workers {n}", "32 connections", faces(32)) for n in (1, 2, 3, 4)),
    ("--workers 1 --threads 2", "32 connections", faces(32)),
    *((f"--max-batch {n}", "128 connections", faces(128)) for n in (1, 8, 32, 128)),
    *((f"--batch-linger {time}", "1 connection", faces(1)) for time in ("0s", "1ms", "5ms")),
    *((f"--batch-linger {time}", "32 connections", faces(32)) for time in ("0s", "1ms", "5ms")),
    *((f"--decode-threads {n}", "16 connections, 1920×1280", photos) for n in (1, 2, 4)),
    *((f"--max-in-flight {n}", "1,024 connections", overload) for n in (32, 128, 256, 1024)),
    *((f"--log {level}", "32 connections", faces(32)) for level in ("info", "warn")),
]


def measure(program: Path, model: Path, requests: dict[str, load.Request], rounds: int) -> str:
    """The table, medians over the rounds."""
    found: dict[tuple[str, str], list[load.Seen]] = {}
    for _ in range(rounds):
        for flags, what, look in CASES:
            with load.ours(program, model, *flags.split()) as server:
                load.load(server.port, requests["face"], 8, seconds=0.5)
                seen = look(server.port, requests)
            found.setdefault((flags, what), []).append(seen)
            print(f"{flags}, {what}: {seen.rate:.0f}/s, p50 {seen.p50:.2f} ms, p99 {seen.p99:.2f} ms", file=sys.stderr)
    rows = []
    for (flags, what), seen in found.items():
        middle = load.median(seen)
        spread = [s.rate for s in seen]
        rate = f"{statistics.median(spread):.0f} ({min(spread):.0f}–{max(spread):.0f})"
        rows.append([f"`{flags}`", what, rate, f"{middle.p50:.2f} ms", f"{middle.p99:.2f} ms"])
    return report.table(["flags", "load", "200s a second", "p50", "p99"], rows)
