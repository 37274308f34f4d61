"""A server as a child process on loopback."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TypeVar

from fer_tools.shared.client import free_port, status, wait_for
from fer_tools.shared.project import MODEL, ROOT
from fer_tools.shared.report import Failed, require

MIB = 1 << 20
S = TypeVar("S", bound="Service")


class Service:
    """Any server that answers `probe` with 200 when it is ready; it ends with the `with` block.

    The variables of `env` are added to the environment, from which all FER_… are removed.
    """

    keep_log = False

    def __init__(self, command: list[str], port: int, probe: str, env: dict[str, str] | None = None) -> None:
        self.program, self.port, self.probe = command[0], port, probe
        self.log = tempfile.NamedTemporaryFile(prefix="fer-serve-", suffix=".log", delete=False)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
        self.started, self.ready = time.perf_counter(), float("nan")
        # A session of its own: Ctrl-C does not reach it before `close`, which ends its children, too.
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env={**kept, **(env or {})},
            cwd=ROOT,
            start_new_session=True,
        )

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def logged(self) -> str:
        """What it wrote so far."""
        return Path(self.log.name).read_text(encoding="utf-8", errors="replace")

    def wait_ready(self, seconds: float = 120, pause: float = 0.02) -> float:
        """Waits for the probe; the seconds since the process was started."""

        def ready() -> bool:
            if self.child.poll() is not None:
                raise Failed(f"{self.program} ended with {self.child.returncode}:\n{self.logged()[-2000:]}")
            return status(self.port, self.probe, timeout=5) == 200

        wait_for(f"200 of {self.probe}", ready, seconds, pause)
        self.ready = time.perf_counter() - self.started
        return self.ready

    def stop(self) -> float:
        """SIGTERM; the seconds until it has ended, with exit code 0."""
        started = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        code = self.child.wait(60)
        require(code == 0, f"exit code {code} after SIGTERM")
        return time.monotonic() - started

    def close(self) -> None:
        """Kills the process and its children."""
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        self.log.close()
        if not self.keep_log:
            Path(self.log.name).unlink(missing_ok=True)

    def resident(self) -> int:
        """Bytes of memory it holds."""
        fields = Path(f"/proc/{self.child.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def peak(self) -> int:
        """The most bytes of memory it has held."""
        lines = Path(f"/proc/{self.child.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))

    def descriptors(self) -> int:
        """File descriptors it has open."""
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))

    def on_cpu(self, threads: str = "") -> float:
        """Seconds of processor time of its threads whose name begins so."""
        total = 0
        for thread in Path(f"/proc/{self.child.pid}/task").iterdir():
            if (thread / "comm").read_text(encoding="ascii").startswith(threads):
                total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
        return total / 1e9


class Server(Service):
    """fer-serve, on a free port unless one is given; with `admin`, administration is on a second port, `self.admin`."""

    def __init__(
        self,
        program: Path,
        *flags: str,
        model: Path = MODEL,
        port: int | None = None,
        admin: bool = False,
        log: str = "warn",
        env: dict[str, str] | None = None,
    ) -> None:
        port = port or free_port()
        self.admin = free_port() if admin else port
        command = [str(program), "run", "--listen", f"127.0.0.1:{port}", "--model", str(model), *flags]
        command += ["--admin-listen", f"127.0.0.1:{self.admin}"] if admin else []
        super().__init__(command, port, "/readyz", {"FER_LOG": log, **(env or {})})

    def reload(self) -> None:
        """Has it load its model folder again."""
        self.child.send_signal(signal.SIGHUP)
