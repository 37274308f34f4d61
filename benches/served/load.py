"""Load from oha, and the services it is sent to."""

import base64
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from fer_tools.shared.client import free_port
from fer_tools.shared.report import Failed
from fer_tools.shared.server import Server, Service

CORES = len(os.sched_getaffinity(0))


class Request(NamedTuple):
    """One POST, sent again and again."""

    path: str
    kind: str
    body: Path

    @classmethod
    def image(cls, folder: Path, name: str, data: bytes) -> "Request":
        file = folder / name
        file.write_bytes(data)
        return cls("/predict", "image/png" if name.endswith("png") else "image/jpeg", file)

    def as_json(self) -> "Request":
        """In the form that LitServe takes."""
        file = self.body.with_suffix(".json")
        file.write_text(json.dumps({"image": base64.b64encode(self.body.read_bytes()).decode()}))
        return Request("/predict", "application/json", file)


class Seen(NamedTuple):
    """The results of a load. Times in milliseconds, of answers with 200 only."""

    rate: float
    ok: int
    refused: int
    failed: int
    p50: float
    p99: float


def load(
    port: int,
    request: Request,
    connections: int,
    *,
    seconds: float = 0.0,
    requests: int = 0,
    rate: float = 0.0,
    due: bool = True,
) -> Seen:
    """With `rate`, that number of requests a second is sent, answered or not, and each is timed from when it was due; without
    `due` from when it was sent, for rates that the generator itself cannot keep up with."""
    command = ["oha", "--no-tui", "--output-format", "json", "--stats-success-breakdown", "-c", str(connections)]
    command += ["-m", "POST", "-T", request.kind, "-D", str(request.body), "--worker-threads", "1" if CORES < 4 else "2"]
    command += ["-n", str(requests)] if requests else ["-z", f"{int(seconds * 1000)}ms", "-w"]
    command += ["-q", f"{rate:.0f}"] if rate else []
    command += ["--latency-correction"] if rate and due else []
    done = subprocess.run([*command, f"http://127.0.0.1:{port}{request.path}"], check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    statuses = {int(status): count for status, count in told["statusCodeDistribution"].items()}
    ok, refused = statuses.get(200, 0), statuses.get(503, 0)
    failed = sum(statuses.values()) - ok - refused + sum(told["errorDistribution"].values())
    times = told["latencyPercentilesSuccessful"]
    return Seen(
        ok / told["summary"]["total"],
        ok,
        refused,
        failed,
        1000 * (times["p50"] or 0),
        1000 * (times["p99"] or 0),
    )


def median(seen: list[Seen]) -> Seen:
    """Of each figure by itself; failures are summed."""
    middle = [statistics.median(column) for column in zip(*seen)]
    return Seen(*middle)._replace(failed=sum(s.failed for s in seen))


def ready(service: Service) -> Service:
    """The service, once it answers its probe."""
    try:
        service.wait_ready(pause=0.002)
    except Failed as failed:
        service.close()
        sys.exit(str(failed))
    return service


def ours(program: Path, model: Path, *flags: str) -> Service:
    return ready(Server(program, *flags, model=model, log="info"))


def fastapi(model: Path, workers: int, threads: int) -> Service:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--app-dir",
        "benches/peers",
        "fastapi_service:app",
        "--workers",
        str(workers),
    ]
    command += ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    return ready(Service(command, port, "/livez", {"FER_MODEL": str(model), "FER_THREADS": str(threads)}))


def litserve(model: Path, workers: int, threads: int) -> Service:
    port = free_port()
    command = [sys.executable, "benches/peers/litserve_service.py", "--port", str(port), "--workers", str(workers)]
    return ready(Service(command, port, "/livez", {"FER_MODEL": str(model), "FER_THREADS": str(threads)}))
