"""Runs attacks beside good requests, and judges both."""

import asyncio
import contextlib
import http.client
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fer_tools.attack_test import watch
from fer_tools.attack_test.attacks import Answer, Attack, send
from fer_tools.shared.asynchttp import Address
from fer_tools.shared.client import request, series
from fer_tools.shared.images import png
from fer_tools.shared.project import TOOLS
from fer_tools.shared.report import percentile

MIB = 1 << 20
# Good requests a second.
RATE = 20
# An attack's answers: done, refused for what it is, refused for want of room. 504 is the deadline's.
EXPECTED = {200, 400, 413, 415, 422, 503, 504}
# The most seconds of processor time a request takes: --decode-timeout (2 s) on each of two decoders, and what came before.
PROCESSOR = 4.5
# The good ones' p99 beside an attack: so many times the normal one, or this many seconds if that is more, because on two
# cores a busy neighbour alone takes that long. As such a neighbour only ever adds, the best of three attempts counts.
TIMES, FLOOR, ATTEMPTS = 3, 0.15, 3
# /predict is as fast as ever this many seconds after an attack.
RECOVERY = 3.0
RESTARTS = "fer_decoder_restarts_total"


class Good(NamedTuple):
    """A good answer: when it was due, its status, how long it took."""

    due: float
    status: int
    seconds: float


class GoodClient:
    """Good requests from another process, until `stop`."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-B", "-m", "fer_tools.attack_test.good", str(port), str(RATE)]
        self.process = subprocess.Popen(command, cwd=TOOLS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.process.stdout.readline()

    def stop(self) -> list[Good]:
        """All answers."""
        output, _ = self.process.communicate(timeout=60)
        return [Good(*json.loads(line)) for line in output.splitlines()]


class Target(NamedTuple):
    """The server that is attacked."""

    port: int
    # Its process, here or in a container.
    pid: int
    # The most bytes of memory that it and its decoders may hold.
    memory: int
    # None in a container.
    program: Path | None = None


def p99(answers: list[Good]) -> float:
    return percentile([answer.seconds for answer in answers], 0.99)


def counted(answers: list[Answer]) -> str:
    """How many of each status and code."""
    kinds = Counter(f"{answer.status or 'none'} {answer.code}".strip() for answer in answers)
    return ", ".join(f"{kind} × {count}" for kind, count in sorted(kinds.items()))


class Bench:
    """Runs attacks, prints their rows, collects what was wrong."""

    def __init__(self, target: Target, quick: bool) -> None:
        self.target, self.quick = target, quick
        self.address = Address("127.0.0.1", target.port)
        self.failures: list[str] = []
        # What the good requests take without an attack: p99 in seconds, processor time a second.
        self.normal, self.load = math.nan, 0.0

    def require(self, condition: object, name: str, text: str) -> None:
        """Notes a failure unless the condition holds."""
        if not condition:
            self.failures.append(f"{name}: {text}")

    def bound(self) -> float:
        """The most p99 of good requests beside an attack, in seconds."""
        return max(TIMES * self.normal, FLOOR)

    def restarts(self) -> int:
        """Decoders that were ended at an image so far."""
        return int(sum(value for name, value in series(self.target.port).items() if name.startswith(RESTARTS)))

    def alive(self) -> bool:
        """Whether the process is there."""
        return os.path.exists(f"/proc/{self.target.pid}/task") and bool(watch.anonymous(self.target.pid))

    def measure_normal(self, seconds: float) -> None:
        """Good requests alone."""
        for _ in range(50):
            request(self.target.port, "POST", "/predict", png(48, 48), "image/png")
        watch.rest(self.target.pid, 5)
        before = watch.processor(self.target.pid)
        client = GoodClient(self.target.port)
        time.sleep(seconds)
        good = client.stop()
        self.normal = p99(good)
        self.load = (watch.processor(self.target.pid) - before) / seconds
        self.require(all(answer.status == 200 for answer in good), "normal", "a good request failed without an attack")
        half = percentile([answer.seconds for answer in good], 0.5)
        held = watch.memory(self.target.pid) // MIB
        print(f"Good requests alone, {RATE}/s: p50 {1000 * half:.1f} ms, p99 {1000 * self.normal:.1f} ms; {held} MiB.")
        print(f"Beside an attack p99 may be {1000 * self.bound():.0f} ms; memory may be {self.target.memory // MIB} MiB.\n")
        print("| attack | body | alone | processor time | in all | memory | decoders replaced | good p99 |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)

    def alone(self, attack: Attack, body: bytes) -> str:
        """One request of an attack by itself: its status and time, with the bound on processor time."""
        watch.rest(self.target.pid, 5)
        before = watch.processor(self.target.pid)
        answer = asyncio.run(send(self.address, body))
        watch.rest(self.target.pid, 10)
        spent = watch.processor(self.target.pid) - before
        self.judge(attack.name, [answer])
        self.require(spent <= PROCESSOR, attack.name, f"{spent:.2f} s of processor time for one request")
        return f"{answer.status} {answer.code}".strip() + f", {answer.seconds:.2f} s | {spent:.2f} s"

    def run(self, attack: Attack, seconds: float) -> None:
        """An attack: one request alone, then all of it beside good ones."""
        body = attack.request()
        alone = "| " if attack.unread or attack.at_once or self.quick else self.alone(attack, body)

        def attempt() -> Row:
            with self.beside(attack.name, attack.sending(seconds)) as row:
                row.answers = asyncio.run(attack.run(self.address, body, seconds))
            return row

        row = self.best(attack.name, attempt)
        mean = row.processor / len(row.answers) if row.answers else 0.0
        self.require(row.restarts or not attack.ends, attack.name, f"{RESTARTS} has not grown")
        self.judge(attack.name, row.answers)
        self.require(mean <= PROCESSOR, attack.name, f"{mean:.2f} s of processor time a request")
        cells = [attack.name, f"{len(body):,} B", alone, counted(row.answers), row.cells()]
        print("| " + " | ".join(cells) + " |", flush=True)

    def best(self, name: str, attempt: Callable[[], "Row"]) -> "Row":
        """The first of some attempts in which nothing was late, or the last."""
        for _ in range(ATTEMPTS):
            row = attempt()
            if not row.late:
                break
        self.failures += [f"{name}: {late}, the last of {ATTEMPTS} attempts" for late in row.late]
        return row

    def judge(self, name: str, answers: list[Answer]) -> None:
        """Each request has an answer, and none says that the server is at fault."""
        bad = [answer for answer in answers if answer.status not in EXPECTED]
        self.require(not bad, name, f"answers {counted(bad)}")

    @contextlib.contextmanager
    def beside(self, name: str, sending: float) -> Iterator["Row"]:
        """Good requests and the watch around an attack of so many seconds; then the bounds that hold for each attack."""
        row = Row()
        watch.rest(self.target.pid, 5)
        restarts, before = self.restarts(), watch.processor(self.target.pid)
        watching, client = watch.Watch(self.target.pid), GoodClient(self.target.port)
        began = time.monotonic()
        try:
            yield row
            ended = time.monotonic()
            time.sleep(0.5 if self.quick else max(0.5, began + sending + RECOVERY - ended))
        finally:
            good = client.stop()
            row.memory = watching.stop()
        watch.rest(self.target.pid, 10)
        if not self.alive():
            self.require(False, name, "the server ended")
            raise Gone
        spent = watch.processor(self.target.pid) - before
        row.processor = max(0.0, spent - self.load * (time.monotonic() - began))
        row.restarts = self.restarts() - restarts
        row.good = p99([answer for answer in good if answer.due <= ended])
        failed = Counter(answer.status for answer in good if answer.status != 200)
        self.require(not failed, name, f"good requests were answered with {dict(failed)}")
        self.require(row.memory <= self.target.memory, name, f"{row.memory // MIB} MiB of memory")
        if self.quick:
            return
        if not row.good <= self.bound():
            row.late.append(f"p99 of good requests {1000 * row.good:.0f} ms")
        recovered = began + sending + RECOVERY
        after = p99([answer for answer in good if recovered - 1 <= answer.due <= recovered])
        if not after <= self.bound():
            row.late.append(f"p99 of good requests {1000 * after:.0f} ms, {RECOVERY:g} s after the attack")


class Gone(Exception):
    """The server has ended; nothing more can be measured."""


class Row:
    """What was measured of one attack."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        # Seconds: processor time beside that of the good requests, p99 of the good requests.
        self.processor = self.good = 0.0
        # The most bytes, decoders that were ended.
        self.memory = self.restarts = 0
        # What took longer than it may.
        self.late: list[str] = []

    def cells(self) -> str:
        """The last three columns."""
        return f"{self.memory // MIB} MiB | {self.restarts} | {1000 * self.good:.0f} ms"
