"""The server as a process: start, reload, memory and descriptors, and requests by hand."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

Connection = Tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    async def connect(self) -> Connection:
        return await asyncio.open_connection(self.host, self.port)


class Server:
    """Runs while the `with` block does; its log goes to a file that is named at the end if something failed."""

    def __init__(self, program: Path, model: Path, flags: Tuple[str, ...] = ()) -> None:
        # Attacks open many connections from here, and the server inherits the limit.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.log = tempfile.NamedTemporaryFile(prefix="fer-serve-", suffix=".log", delete=False)
        command = [str(program), "run", "--listen", "127.0.0.1:0", "--log-format", "json", "--model", str(model), *flags]
        # Its own group, so that Ctrl-C here lets it be asked for its last figures.
        self.process = subprocess.Popen(command, stderr=self.log, stdin=subprocess.DEVNULL, start_new_session=True)
        host, port = self._logged("listening")["address"].rsplit(":", 1)
        self.address = Address(host, int(port))
        self._logged("ready")

    def _logged(self, message: str) -> Dict[str, str]:
        ends = time.monotonic() + 600
        while time.monotonic() < ends:
            for line in Path(self.log.name).read_text(errors="replace").splitlines():
                if f'"{message}"' in line and line.endswith("}"):
                    return json.loads(line)
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}; its log is {self.log.name}")
            time.sleep(0.1)
        raise SystemExit(f"the server never said {message!r}; its log is {self.log.name}")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        print(f"The server ended with exit code {self.process.returncode}; its log is {self.log.name}.")

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def memory(self) -> int:
        """Resident bytes."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    async def metrics(self) -> Dict[str, float]:
        connection = await self.address.connect()
        status, body = await exchange(connection, message("GET", "/metrics", "", b""))
        connection[1].close()
        if status != 200:
            raise SystemExit(f"/metrics answered {status}")
        lines = (line.rsplit(" ", 1) for line in body.decode().splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, value in lines}


def message(method: str, path: str, kind: str, body: bytes) -> bytes:
    """One request."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    if kind:
        lines.append(f"content-type: {kind}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def exchange(connection: Connection, request: bytes) -> Tuple[int, bytes]:
    """Sends a request and reads its whole answer."""
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    lengths: List[bytes] = [line[15:] for line in head if line.startswith(b"content-length:")]
    body = await reader.readexactly(int(lengths[0])) if lengths else b""
    return int(head[0].split(b" ")[1]), body
