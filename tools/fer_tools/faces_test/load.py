"""`/predict` while `/faces` is busy."""

import time

from fer_tools.faces_test.photos import KIND, Photos, encoded
from fer_tools.shared.client import Client
from fer_tools.shared.load import Load
from fer_tools.shared.report import percentile, require
from fer_tools.shared.server import Server

CLIENTS = 16
REQUESTS = 500


def predictions(server: Server, body: bytes) -> list[float]:
    """Milliseconds of each request, one after the other."""
    client = Client(server.port, timeout=900)
    times = []
    for _ in range(REQUESTS):
        answer = client.send("POST", "/predict", body, KIND)
        require(answer.status == 200, f"/predict answered {answer.status}: {answer.body!r}")
        times.append(1000 * answer.took)
    return times


def run(server: Server, photos: Photos) -> int:
    """p99 of one client of /predict, alone and with 16 clients of /faces."""
    face = encoded(photos.head(48).convert("L"))
    photo = encoded(photos.group(), "JPEG", quality=92)
    predictions(server, face)
    alone = predictions(server, face)
    load = Load(server.port, "/faces", photo, KIND, CLIENTS, timeout=900)
    time.sleep(1)
    began, before = time.perf_counter(), load.total()
    busy = predictions(server, face)
    rate = (load.total() - before) / (time.perf_counter() - began)
    load.stop()
    for name, times in (("alone", alone), (f"with {CLIENTS} clients of /faces", busy)):
        print(f"/predict {name:31} p50 {percentile(times, 0.5):6.2f} ms  p99 {percentile(times, 0.99):6.2f} ms")
    factor = percentile(busy, 0.99) / percentile(alone, 0.99)
    print(f"p99 is {factor:.1f} times as long; /faces answered {rate:.1f} photos a second, {dict(load.statuses)}")
    load.require_good()
    return 0 if factor < 5 else 1
