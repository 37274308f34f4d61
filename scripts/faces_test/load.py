"""`/predict` while `/faces` is kept busy."""

import threading
import time

from .photos import Photos, encoded
from .server import Client, Server

CLIENTS = 16
REQUESTS = 500


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def predictions(server: Server, body: bytes) -> list[float]:
    """Milliseconds of each of so many requests, one after the other."""
    client = Client(server.port)
    times = []
    for _ in range(REQUESTS):
        answer = client.post("/predict", body)
        if answer.status != 200:
            raise SystemExit(f"/predict answered {answer.status}: {answer.body}")
        times.append(answer.took)
    return times


def run(server: Server, photos: Photos) -> int:
    """p99 of one client of /predict, alone and beside 16 clients of /faces."""
    face = encoded(photos.head(48).convert("L"))
    photo = encoded(photos.group(), "JPEG", quality=92)
    predictions(server, face)
    alone = predictions(server, face)
    stop = threading.Event()
    done: list[int] = []

    def keep_busy() -> None:
        client = Client(server.port)
        while not stop.is_set():
            done.append(client.post("/faces", photo).status)

    threads = [threading.Thread(target=keep_busy) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    began, before = time.perf_counter(), len(done)
    beside = predictions(server, face)
    rate = (len(done) - before) / (time.perf_counter() - began)
    stop.set()
    for thread in threads:
        thread.join()
    for name, times in (("alone", alone), (f"beside {CLIENTS} clients of /faces", beside)):
        print(f"/predict {name:31} p50 {quantile(times, 0.5):6.2f} ms  p99 {quantile(times, 0.99):6.2f} ms")
    factor = quantile(beside, 0.99) / quantile(alone, 0.99)
    statuses = {status: done.count(status) for status in sorted(set(done))}
    print(f"p99 is {factor:.1f} times as long; /faces answered {rate:.1f} photos a second, {statuses}")
    return 0 if factor < 5 and set(done) == {200} else 1
