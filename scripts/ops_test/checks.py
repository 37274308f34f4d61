"""Counters, dashboard, reloads and rolling restarts."""

import http.client
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
from typing import Dict, List, NamedTuple, Optional, Tuple

from docker_test import pictures, rolling
from docker_test.docker import request
from docker_test.load import Load
from docker_test.report import check, require
from docker_test.rolling import program
from docker_test.scrape import Prometheus

from .process import Process

PNG = "image/png"
FACE = pictures.png(48, 48)
# Connections and reloads of the reload check.
CONNECTIONS, RELOADS = 200, 50
# Memory that may be added to by what the allocator keeps, in bytes.
SLACK = 64 << 20


class Context(NamedTuple):
    """What the checks share."""

    program: Path
    model: Path
    requests: int


def series(port: int) -> Dict[str, float]:
    """Everything in /metrics: name with labels, value."""
    text = request(port, "GET", "/metrics").body.decode()
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in lines}


# Method, path, body and the status it must get.
KINDS: List[Tuple[str, str, bytes, int]] = [
    ("POST", "/predict", FACE, 200),
    ("POST", "/predict", b"no picture", 415),
    ("POST", "/predict", FACE[:200], 422),
    ("POST", "/predict", b"", 400),
    ("GET", "/model", b"", 200),
    ("GET", "/nowhere", b"", 404),
    ("DELETE", "/predict", b"", 405),
]


def send_counted(port: int, rounds: int, threads: int) -> Counter:
    """Each kind of request so many times on each connection; (method, route, status) of what was answered."""
    counts: Counter = Counter()
    wrong: List[str] = []
    lock = threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(rounds):
            for method, path, body, expected in KINDS:
                headers = {"content-type": PNG} if body else {}
                connection.request(method, path, body=body or None, headers=headers)
                answer = connection.getresponse()
                answer.read()
                with lock:
                    counts[(method, "other" if path == "/nowhere" else path, answer.status)] += 1
                    if answer.status != expected:
                        wrong.append(f"{method} {path}: {answer.status} instead of {expected}")
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    require(not wrong, "; ".join(wrong[:5]))
    require(sum(counts.values()) == rounds * threads * len(KINDS), f"connections broke off: {counts}")
    return counts


@check("metrics: promtool is content, counters are exact")
def exact(context: Context) -> str:
    promtool = program("promtool", "prometheus")
    with Process(context.program, context.model) as server:
        server.wait_ready()
        before = series(server.admin)
        sent = send_counted(server.port, rounds=40, threads=8)
        after = series(server.admin)
        for (method, route, code), count in sent.items():
            name = f'fer_http_requests_total{{method="{method}",route="{route}",status="{code}"}}'
            grown = after[name] - before.get(name, 0)
            require(grown == count, f"{name} grew by {grown:g}, {count} were sent")
        # Nothing else was counted for these routes, under whatever status.
        for route in {route for _, route, _ in sent}:
            total = sum(
                value - before.get(name, 0)
                for name, value in after.items()
                if name.startswith("fer_http_requests_total{") and f'route="{route}"' in name
            )
            wanted = sum(count for (_, of, _), count in sent.items() if of == route)
            require(total == wanted, f"{route}: {total:g} counted, {wanted} sent")
            timed = f'fer_http_request_duration_seconds_count{{route="{route}"}}'
            require(after[timed] - before.get(timed, 0) == wanted, f"{timed} grew by another number than {wanted}")
        answered = sent[("POST", "/predict", 200)]
        predicted = sum(value for name, value in after.items() if name.startswith("fer_predictions_total{"))
        require(predicted == answered, f"{predicted:g} predictions counted, {answered} answered")
        text = request(server.admin, "GET", "/metrics").body
        done = subprocess.run([promtool, "check", "metrics"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        require(done.returncode == 0 and not done.stdout.strip(), f"promtool check metrics: {done.stdout.decode()}")
        return f"{sum(sent.values())} requests of {len(KINDS)} kinds, {len(after)} series"


@check("monitoring: Prometheus, alert rules, every panel of the dashboard")
def monitored(context: Context) -> str:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(Process(context.program, context.model))
        server.wait_ready()
        prometheus = Prometheus(stack, folder, server.admin)
        load = Load(server.port, "/predict", FACE, PNG, threads=4)
        stack.callback(load.stop)
        time.sleep(12)
        queries = prometheus.check_panels()
        load.stop()
        rules = prometheus.check_rules()
        # Two scrapes later it knows of every request.
        time.sleep(3)
        known = prometheus.query('sum(fer_http_requests_total{route="/predict"})')[0]["value"][1]
        require(int(known) == load.total(), f"Prometheus knows of {known} requests, {load.total()} were sent")
        return f"{queries} queries, {rules} rules, {known} requests sent and counted"


def variant(source: Path, target: Path, version: str, temperature: float) -> None:
    """A copy of a model folder under another version, with another temperature: its answers differ."""
    shutil.copytree(source, target)
    manifest = json.loads((target / "model.json").read_text(encoding="utf-8"))
    manifest["version"] = version
    manifest["calibration"] = {"temperature": temperature}
    (target / "model.json").write_text(json.dumps(manifest), encoding="utf-8")


def point(link: Path, target: Path) -> None:
    """Lets a link lead to another folder, at once."""
    fresh = link.with_suffix(".new")
    fresh.symlink_to(target)
    os.replace(fresh, link)


class Checked(Load):
    """Load that looks at each answer: it must be that of one of the models."""

    def __init__(self, port: int, known: Dict[str, dict], threads: int) -> None:
        self.known, self.strange, self.versions = known, [], Counter()
        super().__init__(port, "/predict", FACE, PNG, threads=threads, pause=0.05, timeout=60)

    def seen(self, body: bytes) -> None:
        """One answer's body."""
        answer = json.loads(body)
        version = answer["model"]["version"]
        wanted = self.known.get(version)
        # Batches of another size may differ in the last digits.
        if wanted is None or any(abs(answer["probabilities"][label] - p) > 2e-3 for label, p in wanted.items()):
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
        server = stack.enter_context(Process(context.program, link, "--request-timeout", "60s"))
        server.wait_ready()

        def reload(name: str) -> http.client.HTTPResponse:
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
        # One moment says little while models come and go: the least of ten counts.
        early, late = min(held[:10]), min(held[-10:])

        # b answers; what is wrong with a copy of a is refused, and b goes on.
        spoils = {"flipped bit": flip, "missing file": lose, "other labels": relabel, "wrong shape": reshape}
        for name, spoil in spoils.items():
            broken = folder / name.replace(" ", "-")
            shutil.copytree(folder / "a", broken)
            word = spoil(broken)
            answer = reload(broken.name)
            require(answer.status == 422 and word in answer.json()["detail"], f"{name}: {answer.status} {answer.body!r}")
            require(request(server.port, "GET", "/model").json()["version"] == "b", f"{name}: b does not answer any more")
        load.stop()
        bad = {code: count for code, count in load.statuses.items() if code != 200}
        require(not bad and not load.errors, f"{load.total()} answers, among them {bad}: {load.refusals}; errors {load.errors[:3]}")
        require(not load.strange, f"answers of neither model: {load.strange[:3]}")
        require(set(load.versions) == {"a", "b"}, f"only {set(load.versions)} answered")
        require(late < early + SLACK, f"memory grew from {early >> 20} MiB in the first 10 reloads to {late >> 20} MiB in the last")
        return (
            f"{load.total()} requests, none failed, {dict(load.versions)}; least of the first 10 reloads "
            f"{early >> 20} MiB, of the last 10 {late >> 20} MiB, most {max(held) >> 20} MiB; refused: {', '.join(spoils)}"
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
    """It wants pictures of another shape."""
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    manifest["input"]["width"] = 64
    (folder / "model.json").write_text(json.dumps(manifest), encoding="utf-8")
    return "64×48×1"


def restart(context: Context, template: str, command: object, requests: int) -> str:
    """A rolling restart of processes."""

    def start(port: Optional[int]) -> Process:
        return Process(context.program, context.model, port=port, env=rolling.ENVIRONMENT)

    return rolling.rolling_restart(start, template, command, requests, threads=16)  # type: ignore[arg-type]


@check("traffic: rolling restart behind haproxy")
def behind_haproxy(context: Context) -> str:
    return restart(context, rolling.HAPROXY, rolling.haproxy(), context.requests)


@check("traffic: rolling restart behind nginx")
def behind_nginx(context: Context) -> str:
    return restart(context, rolling.NGINX, rolling.nginx(), context.requests // 10)
