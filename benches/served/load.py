"""Load from oha, and the services it is sent to."""

import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

ROOT = Path(__file__).resolve().parent.parent.parent
CORES = len(os.sched_getaffinity(0))


class Request(NamedTuple):
    """One POST, again and again."""

    path: str
    kind: str
    body: Path

    @classmethod
    def picture(cls, folder: Path, name: str, data: bytes) -> "Request":
        file = folder / name
        file.write_bytes(data)
        return cls("/predict", "image/png" if name.endswith("png") else "image/jpeg", file)

    def as_json(self) -> "Request":
        """As LitServe takes it."""
        file = self.body.with_suffix(".json")
        file.write_text(json.dumps({"image": base64.b64encode(self.body.read_bytes()).decode()}))
        return Request("/predict", "application/json", file)


class Seen(NamedTuple):
    """What came of a load. Times in milliseconds, of answers with 200 only."""

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
    """With `rate` requests a second are begun, whatever the answers do, and timed from when each was due; without `due` from
    when it was sent, for rates that the generator itself cannot keep up with."""
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


def median(seen: List[Seen]) -> Seen:
    """Of each figure by itself; failures are summed."""
    middle = [statistics.median(column) for column in zip(*seen)]
    return Seen(*middle)._replace(failed=sum(s.failed for s in seen))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A server process; `ready` is the time from its start to its first 200 for `probe`, in seconds."""

    def __init__(self, command: List[str], port: int, probe: str, environment: Optional[Dict[str, str]] = None) -> None:
        self.port, self.log = port, tempfile.TemporaryFile()
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            cwd=ROOT,
            start_new_session=True,
        )
        while not self._says_yes(probe):
            if self.process.poll() is not None or time.perf_counter() - began > 120:
                self.close()
                self.log.seek(0)
                sys.exit(f"{command[0]} did not become ready:\n{self.log.read().decode(errors='replace')[-2000:]}")
            time.sleep(0.002)
        self.ready = time.perf_counter() - began

    def _says_yes(self, probe: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{probe}", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def memory(self) -> float:
        """Resident MiB."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def close(self) -> None:
        """Ends the process and what it started."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ours(program: Path, model: Path, *flags: str) -> Service:
    port = free_port()
    command = [str(program), "run", "--listen", f"127.0.0.1:{port}", "--model", str(model), *flags]
    return Service(command, port, "/readyz")


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
    return Service(command, port, "/livez", {"FER_MODEL": str(model), "FER_THREADS": str(threads)})


def litserve(model: Path, workers: int, threads: int) -> Service:
    port = free_port()
    command = [sys.executable, "benches/peers/litserve_service.py", "--port", str(port), "--workers", str(workers)]
    return Service(command, port, "/livez", {"FER_MODEL": str(model), "FER_THREADS": str(threads)})
