"""Mixed traffic at a share of the server's highest rate."""

import asyncio
import base64
import gc
import json
import random
import socket
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from fer_tools.shared.asynchttp import Pool, closed_loop, message, open_loop
from fer_tools.shared.client import request, series
from fer_tools.shared.images import png
from fer_tools.shared.report import percentile
from fer_tools.soak.server import Soaked

# A slope means something from here on; before, start-up drowns it.
SECONDS_THAT_COUNT = 1800
RELOAD_EVERY = 60
# What may grow: memory in bytes an hour (libtorch's and the allocator's pools settle slowly), descriptors an hour.
MEMORY_AN_HOUR = 20e6
DESCRIPTORS_AN_HOUR = 5
TIMEOUT = 30
# Of the closed loop that finds the highest rate.
CONNECTIONS = 16
# A request that is sent this long after it was due was part of a burst that the generator caused; such are counted.
LATE = 0.05


class Kind(NamedTuple):
    """One kind of request."""

    name: str
    weight: float
    messages: list[bytes]
    # Expected statuses; none for a client that disconnects.
    right: tuple[int, ...]


def kinds(server: Soaked) -> list[Kind]:
    """The mix."""
    small = [png(48, 48, phase) for phase in (0.0, 1.0, 2.0)]
    middle, large = png(320, 240), png(1280, 960)
    encoded = [base64.b64encode(image).decode() for image in small]
    many = json.dumps({"images": encoded * 3}).encode()
    form = b"".join(
        b'--B\r\ncontent-disposition: form-data; name="image"; filename="f"\r\n\r\n' + p + b"\r\n" for p in small
    )
    noise = random.Random(8)
    garbage = [noise.randbytes(noise.randrange(1, 5000)) for _ in range(20)]
    garbage += [middle[: len(middle) // 2], b"\xff\xd8\xff" + garbage[0], b"GIF89a" + garbage[1], b'{"image":']
    mix = [
        Kind("48×48", 45, [message("POST", "/predict", "image/png", p) for p in small], (200,)),
        Kind("320×240", 15, [message("POST", "/predict", "image/png", middle)], (200,)),
        Kind("1280×960", 3, [message("POST", "/predict", "image/png", large)], (200,)),
        Kind("nine in JSON", 6, [message("POST", "/predict", "application/json", many)], (200,)),
        Kind("three in a form", 6, [message("POST", "/predict", "multipart/form-data; boundary=B", form + b"--B--\r\n")], (200,)),
        Kind("faces", 3, [message("POST", "/faces", "image/png", middle)], (200,)),
        Kind("probe", 5, [message("GET", path) for path in ("/livez", "/readyz", "/metrics", "/model")], (200,)),
        Kind("garbage", 2, [message("POST", "/predict", "image/png", g) for g in garbage], (400, 415, 422)),
        Kind("leaves", 5, [message("POST", "/predict", "image/png", p) for p in (small[0], middle)], ()),
    ]
    tensors = [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [encoded[0]]}]
    name = request(server.port, "GET", "/model").json()["name"]
    infer = message("POST", f"/v2/models/{name}/infer", "application/json", json.dumps({"inputs": tensors}).encode())
    return [*mix, Kind("v2", 10, [infer], (200,))]


@dataclass
class Traffic:
    """Sends requests and keeps the score."""

    pool: Pool
    mix: list[Kind]
    done: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    # For each good answer: when its request was due, in seconds from the beginning, and how long after that it came.
    # Arrays, because these are millions: eight bytes each, and nothing for the garbage collector to scan.
    due: array = field(default_factory=lambda: array("d"))
    took: array = field(default_factory=lambda: array("d"))
    # For every request: how long after it was due it was sent.
    late: array = field(default_factory=lambda: array("d"))

    async def send(self, due: float | None = None) -> None:
        """One request of the mix, due at this moment or now."""
        kind = random.choices(self.mix, [kind.weight for kind in self.mix])[0]
        text = random.choice(kind.messages)
        now = time.perf_counter()
        due = now if due is None else due
        at, late = due - self.began, now - due
        self.late.append(late)
        try:
            if not kind.right:
                await asyncio.wait_for(self.leave(text), TIMEOUT)
            else:
                status, body = await self.pool.exchange(text, TIMEOUT)
                if status not in kind.right:
                    self.fail(f"{kind.name}: {status} {body[:200]!r}", at, late)
                elif kind.right == (200,):
                    self.due.append(at)
                    self.took.append(time.perf_counter() - due)
            self.done[kind.name] += 1
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.fail(f"{kind.name}: {type(error).__name__} {error}", at, late)

    def fail(self, text: str, at: float, late: float) -> None:
        self.failures.append(f"{at:.1f} s, sent {1000 * late:.0f} ms late: {text}")

    async def leave(self, text: bytes) -> None:
        """Disconnects in the middle of the request or before the answer, in order or with a reset."""
        _, writer = await self.pool.address.connect()
        writer.write(text[: random.choice((len(text) // 2, len(text)))])
        await writer.drain()
        if random.random() < 0.5:
            linger = b"\x01\0\0\0\0\0\0\0"
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()


class Collector:
    """How long Python's garbage collector stopped the generator: the longest and the sum, in seconds."""

    def __init__(self) -> None:
        self.began = self.longest = self.total = 0.0
        # The objects made so far stay; the collector need not scan them again.
        gc.collect()
        gc.freeze()
        gc.callbacks.append(self.note)

    def note(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self.began = time.perf_counter()
        else:
            took = time.perf_counter() - self.began
            self.longest, self.total = max(self.longest, took), self.total + took


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares, a second."""
    if len(points) < 2:
        return float("nan")
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else float("nan")


async def watch(server: Soaked, samples: list[tuple[float, int, int]], began: float, reload_every: float) -> None:
    reloaded = began
    while True:
        now = time.perf_counter()
        samples.append((now - began, server.resident(), server.descriptors()))
        if now - reloaded >= reload_every:
            server.reload()
            reloaded = now
        await asyncio.sleep(1)


async def soak(server: Soaked, seconds: float, share: float) -> int:
    """The whole run; 1 if something failed or grew."""
    traffic = Traffic(Pool(server.address), kinds(server))
    await closed_loop(traffic.send, CONNECTIONS, 3)
    top = await closed_loop(traffic.send, CONNECTIONS, min(20, max(5, seconds / 10)))
    if traffic.failures:
        print(f"*** {len(traffic.failures)} failures at full load, which are not judged; the first: {traffic.failures[0]}")
    rate = share * top
    print(f"Most of the mix: {top:.0f} requests/s; sending {rate:.0f} a second for {seconds / 60:.1f} minutes.")
    traffic = Traffic(traffic.pool, traffic.mix)
    collector = Collector()
    samples: list[tuple[float, int, int]] = []
    watching = asyncio.create_task(watch(server, samples, time.perf_counter(), min(RELOAD_EVERY, seconds / 4)))
    await open_loop(traffic.send, rate, seconds)
    watching.cancel()
    print(generator(traffic, collector))
    return report(traffic, samples, seconds, series(server.port))


def generator(traffic: Traffic, collector: Collector) -> str:
    """How the generator itself affected the figures."""
    ordered = sorted(traffic.late)
    p50, p99, most = (1000 * percentile(ordered, share) for share in (0.5, 0.99, 1))
    late = sum(seconds > LATE for seconds in ordered)
    return (
        f"Sent after they were due: p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {most:.0f} ms; {late} requests by more than {1000 * LATE:.0f} ms."
        f" The generator's garbage collector took {collector.total:.1f} s in all, at most {1000 * collector.longest:.0f} ms at once."
    )


def report(traffic: Traffic, samples: list[tuple[float, int, int]], seconds: float, metrics: dict[str, float]) -> int:
    print("Answered as expected: " + ", ".join(f"{n} {name}" for name, n in sorted(traffic.done.items())) + ".")
    loads = [metrics.get(f'fer_model_reloads_total{{result="{result}"}}', 0) for result in ("success", "failure")]
    print(f"Model loaded again {loads[0]:.0f} times, rejected {loads[1]:.0f} times.")
    print(f"Failures: {len(traffic.failures)}")
    for text in traffic.failures[:20]:
        print(f"  {text}")
    settled = [s for s in samples if s[0] >= seconds / 10]
    memory = 3600 * slope([(t, m) for t, m, _ in settled])
    descriptors = 3600 * slope([(t, d) for t, _, d in settled])
    print(f"Memory: {settled[0][1] / 1e6:.0f} MB after a tenth, {settled[-1][1] / 1e6:.0f} MB at the end, slope {memory / 1e6:+.2f} MB/h.")
    print(f"Descriptors: {settled[0][2]} after a tenth, {settled[-1][2]} at the end, slope {descriptors:+.2f}/h.")
    first = percentile([took for due, took in zip(traffic.due, traffic.took) if due < seconds / 10], 0.99)
    last = percentile([took for due, took in zip(traffic.due, traffic.took) if due >= seconds * 9 / 10], 0.99)
    whole = sorted(traffic.took)
    half, late = (1000 * percentile(whole, share) for share in (0.5, 0.99))
    print(f"p50 {half:.1f} ms, p99 {late:.1f} ms; of the first tenth {1000 * first:.1f} ms, of the last {1000 * last:.1f} ms.")
    wrong = bool(traffic.failures) or loads[1] > 0
    if seconds < SECONDS_THAT_COUNT:
        print("*** NOT JUDGED: slopes and p99, because the run was shorter than half an hour")
        return int(wrong)
    return int(wrong or memory > MEMORY_AN_HOUR or descriptors > DESCRIPTORS_AN_HOUR or last > 1.1 * first)
