"""The server under test, and what it is asked."""

import http.client
import json
import re
import socket
import subprocess
import time
from pathlib import Path


class Answer:
    """Status, headers and body of an answer, and how long it took in milliseconds."""

    def __init__(self, response: http.client.HTTPResponse, began: float) -> None:
        self.status, self.headers = response.status, response.headers
        self.body = json.loads(response.read())
        self.took = 1000 * (time.perf_counter() - began)

    def timing(self, step: str) -> float:
        """Milliseconds that the server says it spent on this step."""
        found = re.search(rf"\b{step};dur=([0-9.]+)", self.headers.get("server-timing", ""))
        return float(found.group(1)) if found else float("nan")


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=900)

    def post(self, path: str, body: bytes) -> Answer:
        began = time.perf_counter()
        self.connection.request("POST", path, body, {"content-type": "application/octet-stream"})
        return Answer(self.connection.getresponse(), began)


class Server:
    """fer-serve on a free port of loopback, stopped at the end."""

    def __init__(self, program: Path, root: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [program, "--listen", f"127.0.0.1:{self.port}", "--drain-delay", "0s", "--log", "error", "--request-timeout", "10m"]
        self.process = subprocess.Popen(command, cwd=root)
        self.client = Client(self.port)

    def __enter__(self) -> "Server":
        end = time.monotonic() + 600
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise SystemExit("faces-test: the server does not get ready")
            time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)

    def faces(self, body: bytes, query: str = "") -> Answer:
        return self.client.post(f"/faces{query}", body)

    def predict(self, body: bytes, query: str = "") -> Answer:
        return self.client.post(f"/predict{query}", body)

    def peak(self) -> float:
        """Most memory that the server ever held, in MiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) / 1024

    def on_cpu_detecting(self) -> float:
        """Processor time of the threads that decode photos and look for faces, in milliseconds."""
        total = 0
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            if (thread / "comm").read_text(encoding="ascii").startswith("fer-detect"):
                total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
        return total / 1e6
