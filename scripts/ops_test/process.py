"""The server as a process of its own."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Dict, Optional

from docker_test.docker import free_port, status, wait_for
from docker_test.report import Failed, require


class Process:
    """A server on loopback, with a second port for administration if wanted; killed at the end of a `with` block."""

    def __init__(
        self, program: Path, model: Path, *flags: str, port: Optional[int] = None, env: Optional[Dict[str, str]] = None, second: bool = True
    ) -> None:
        self.port, self.admin = port or free_port(), free_port()
        self.log = tempfile.TemporaryFile()
        command = [str(program), "--listen", f"127.0.0.1:{self.port}", "--model", str(model), *flags]
        if second:
            command += ["--admin-listen", f"127.0.0.1:{self.admin}"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
        self.child = subprocess.Popen(command, env={**kept, "FER_LOG": "warn", **(env or {})}, stderr=self.log)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.wait()
        self.log.close()

    def wait_ready(self, seconds: float = 120) -> None:
        """Waits for /readyz."""

        def ready() -> bool:
            if self.child.poll() is not None:
                self.log.seek(0)
                raise Failed(f"the server ended:\n{self.log.read().decode()}")
            return status(self.port, "/readyz") == 200

        wait_for("ready server", ready, seconds)

    def stop(self) -> float:
        """SIGTERM; the seconds until it has ended, with exit code 0."""
        started = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        code = self.child.wait(60)
        require(code == 0, f"exit code {code} after SIGTERM")
        return time.monotonic() - started

    def resident(self) -> int:
        """Bytes of memory it holds."""
        fields = Path(f"/proc/{self.child.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
