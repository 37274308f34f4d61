"""Counters, dashboard, reloads and rolling restarts."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from fer_tools.shared import images, prometheus, rolling
from fer_tools.shared.client import Answer, Client, request, series
from fer_tools.shared.load import Load
from fer_tools.shared.project import installed
from fer_tools.shared.report import check, require
from fer_tools.shared.server import MIB, Server

PNG = "image/png"
FACE = images.png(48, 48)
# Connections and reloads of the reload check.
CONNECTIONS, RELOADS = 200, 50
# What the allocator may keep in addition, in bytes.
SLACK = 64 * MIB


class Context(NamedTuple):
    """What the checks share."""

    program: Path
    model: Path
    requests: int

    def server(self, *flags: str, **options: Any) -> Server:
        """A server with a second port for administration, and metrics on it."""
        return Server(self.program, *flags, **{"model": self.model, "admin": True, **options})


# Method, path, body and the expected status.
KINDS: list[tuple[str, str, bytes, int]] = [
    ("POST", "/predict", FACE, 200),
    ("POST", "/predict", b"no image", 415),
    ("POST", "/predict", FACE[:200], 422),
    ("POST", "/predict", b"", 400),
    ("GET", "/model", b"", 200),
    ("GET", "/nowhere", b"", 404),
    ("DELETE", "/predict", b"", 405),
]


def send_counted(port: int, rounds: int, threads: int) -> Counter:
    """Sends each kind of request that number of times on each connection; counts (method, route, status) of the responses."""
    counts: Counter = Counter()
    wrong: list[str] = []
    lock = threading.Lock()

    def work() -> None:
        client = Client(port, timeout=60)
        for _ in range(rounds):
            for method, path, body, expected in KINDS:
                answer = client.send(method, path, body, PNG if body else "")
                with lock:
                    counts[(method, "other" if path == "/nowhere" else path, answer.status)] += 1
                    if answer.status != expected:
                        wrong.append(f"{method} {path}: {answer.status} instead of {expected}")
        client.close()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    require(not wrong, "; ".join(wrong[:5]))
    require(sum(counts.values()) == rounds * threads * len(KINDS), f"connections broke off: {counts}")
    return counts


@check("metrics: promtool accepts them, counters are exact")
def exact(context: Context) -> str:
    promtool = installed("promtool", "prometheus")
    with context.server() as server:
        server.wait_ready()
        before = series(server.admin)
        sent = send_counted(server.port, rounds=40, threads=8)
        after = series(server.admin)
        for (method, route, code), count in sent.items():
            name = f'fer_http_requests_total{{method="{method}",route="{route}",status="{code}"}}'
            grown = after[name] - before.get(name, 0)
            require(grown == count, f"{name} grew by {grown:g}, {count} were sent")
        # Nothing else was counted for these routes, with any status.
        for route in {route for _, route, _ in sent}:
            total = sum(
                value - before.get(name, 0)
                for name, value in after.items()
                if name.startswith("fer_http_requests_total{") and f'route="{route}"' in name
            )
            expected = sum(count for (_, of, _), count in sent.items() if of == route)
            require(total == expected, f"{route}: {total:g} counted, {expected} sent")
            timed = f'fer_http_request_duration_seconds_count{{route="{route}"}}'
            require(after[timed] - before.get(timed, 0) == expected, f"{timed} did not grow by {expected}")
        answered = sent[("POST", "/predict", 200)]
        predicted = sum(value for name, value in after.items() if name.startswith("fer_predictions_total{"))
        require(predicted == answered, f"{predicted:g} predictions counted, {answered} answered")
        text = request(server.admin, "GET", "/metrics").body
        done = subprocess.run([promtool, "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        require(done.returncode == 0 and not done.stdout.strip(), f"promtool check metrics: {done.stdout.decode()}")
        return f"{sum(sent.values())} requests of {len(KINDS)} kinds, {len(after)} series"


@check("monitoring: Prometheus, alert rules, every panel of the dashboard")
def monitored(context: Context) -> str:
    with context.server() as server:
        server.wait_ready()
        with prometheus.monitored(server.port, server.admin) as (scraper, load, text):
            # Two scrapes later it knows of every request.
            time.sleep(3)
            known = scraper.query('sum(fer_http_requests_total{route="/predict"})')[0]["value"][1]
            require(int(known) == load.total(), f"Prometheus knows of {known} requests, {load.total()} were sent")
            return f"{text}, {known} requests sent and counted"


def variant(source: Path, target: Path, version: str, temperature: float) -> None:
    """A copy of a model folder under another version, with another temperature: its answers differ."""
    shutil.copytree(source, target)
    manifest = json.loads((target / "model.json").read_text(encoding="utf-8"))
    manifest["version"] = version
    manifest["calibration"] = {"temperature": temperature}
    (target / "model.json").write_text(json.dumps(manifest), encoding="utf-8")


def point(link: Path, target: Path) -> None:
    """Points a link to another folder, in one step."""
    fresh = link.with_suffix(".new")
    fresh.symlink_to(target)
    os.replace(fresh, link)


class Checked(Load):
    """Load that checks each response: it must be one of the models' own."""

    def __init__(self, port: int, known: dict[str, dict], threads: int) -> None:
        self.known, self.strange, self.versions = known, [], Counter()
        super().__init__(port, "/predict", FACE, PNG, threads=threads, pause=0.05, timeout=60)

    def seen(self, body: bytes) -> None:
        """One answer's body."""
        answer = json.loads(body)
        version = answer["model"]["version"]
        known = self.known.get(version)
        # Batches of another size may differ in the last digits.
        if known is None or any(abs(answer["probabilities"][label] - p) > 2e-3 for label, p in known.items()):
            self.strange.append(body.decode())
        self.versions[version] += 1


@check("reload: 50 between two models under 200 connections, then broken folders")
def reloads(context: Context) -> str:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        variant(context.model, folder / "a", "a", 1.0)
        variant(context.model, folder / "b", "b", 3.0)
        link = folder / "current"
        point(link, folder / "a")
        server = stack.enter_context(context.server("--request-timeout", "60s", model=link))
        server.wait_ready()

        def reload(name: str) -> Answer:
            point(link, folder / name)
            return request(server.admin, "POST", "/admin/reload", timeout=120)

        known = {}
        for name in "ab":
            require(reload(name).status == 200, f"the first load of {name}")
            known[name] = request(server.port, "POST", "/predict", FACE, PNG).json()["probabilities"]
        apart = max(abs(known["a"][label] - known["b"][label]) for label in known["a"])
        require(apart > 0.01, f"the two models' answers are {apart} apart")

        load = Checked(server.port, known, CONNECTIONS)
        stack.callback(load.stop)
        held = []
        for n in range(RELOADS):
            name = "ab"[n % 2]
            answer = reload(name)
            require(answer.status == 200 and answer.json()["model"]["version"] == name, f"reload {n}: {answer.body!r}")
            held.append(server.resident())
        # One sample says little while models are loaded and dropped: the least of ten counts.
        early, late = min(held[:10]), min(held[-10:])

        # b answers; broken copies of a are rejected, and b goes on.
        spoils = {"flipped bit": flip, "missing file": lose, "other labels": relabel, "wrong shape": reshape}
        for name, spoil in spoils.items():
            broken = folder / name.replace(" ", "-")
            shutil.copytree(folder / "a", broken)
            word = spoil(broken)
            answer = reload(broken.name)
            require(answer.status == 422 and word in answer.json()["detail"], f"{name}: {answer.status} {answer.body!r}")
            require(request(server.port, "GET", "/model").json()["version"] == "b", f"{name}: b does not answer any more")
        load.stop()
        load.require_good()
        require(not load.strange, f"answers of neither model: {load.strange[:3]}")
        require(set(load.versions) == {"a", "b"}, f"only {set(load.versions)} answered")
        require(late < early + SLACK, f"memory grew from {early // MIB} MiB in the first 10 reloads to {late // MIB} MiB in the last")
        return (
            f"{load.total()} requests, none failed, {dict(load.versions)}; least of the first 10 reloads "
            f"{early // MIB} MiB, of the last 10 {late // MIB} MiB, most {max(held) // MIB} MiB; rejected: {', '.join(spoils)}"
        )


def flip(folder: Path) -> str:
    """One bit of the weights."""
    data = bytearray((folder / "model.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.pt").write_bytes(data)
    return "SHA-256"


def lose(folder: Path) -> str:
    """The weights are gone."""
    (folder / "model.pt").unlink()
    return "model.pt"


def relabel(folder: Path) -> str:
    """Two labels change places."""
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    manifest["labels"][0], manifest["labels"][1] = manifest["labels"][1], manifest["labels"][0]
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    return "labels"


def reshape(folder: Path) -> str:
    """It expects images of another shape."""
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    manifest["input"]["width"] = 64
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    return "64×48×1"


def replica(context: Context, port: int | None) -> Server:
    """One of two that are restarted in turn."""
    return context.server(port=port, env=rolling.ENVIRONMENT)


rolling.add_checks(replica, threads=16)
