"""Containers as the checks use them, through the docker command."""

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from fer_tools.shared.client import free_port, status, wait_for
from fer_tools.shared.report import Failed, require

# The options that the README tells operators to use: nothing that the service does needs more.
LOCKED_DOWN = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host")


def docker(*command: str, check: bool = True, timeout: float = 120) -> str:
    """What `docker COMMAND` prints on standard output."""
    done = subprocess.run(
        ["docker", *command], capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and done.returncode != 0:
        raise Failed(f"docker {command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


class Container:
    """A container of the service on a port of its own; removed at the end of a `with` block."""

    def __init__(
        self,
        image: str,
        *options: str,
        args: Sequence[str] = (),
        env: dict[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        settings = {"FER_LISTEN": f"127.0.0.1:{self.port}", **(env or {})}
        flags = [f"--env={name}={value}" for name, value in settings.items()]
        self.started = time.monotonic()
        self.id = docker("run", "--detach", *LOCKED_DOWN, *flags, *options, image, *args).strip()

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", self.id, check=False)

    def inspect(self) -> dict:
        """Docker's description of it."""
        return json.loads(docker("inspect", self.id))[0]

    def state(self) -> dict:
        """Running, ExitCode, OOMKilled, Health, Pid, …"""
        return self.inspect()["State"]

    def health(self) -> str:
        """starting, healthy or unhealthy."""
        return self.state()["Health"]["Status"]

    def logs(self) -> str:
        """Its output."""
        done = subprocess.run(
            ["docker", "logs", self.id], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.stdout

    def wait_ready(self, seconds: float = 30) -> float:
        """Waits for /readyz; seconds since `docker run` was called."""

        looked = time.monotonic()

        def ready() -> bool:
            nonlocal looked
            if status(self.port, "/readyz") == 200:
                return True
            if time.monotonic() - looked > 1:  # rarely: it costs processor time that the start needs
                looked = time.monotonic()
                if not self.state()["Running"]:
                    raise Failed(f"the container ended:\n{self.logs()}")
            return False

        wait_for("ready server", ready, seconds)
        return time.monotonic() - self.started

    def signal(self, name: str) -> None:
        """Sends a signal to the program."""
        docker("kill", f"--signal={name}", self.id)

    def stop(self) -> float:
        """`docker stop` as an operator would; the program ends by itself, with exit code 0. The seconds it took."""
        started = time.monotonic()
        docker("stop", "--time=30", self.id)
        took = time.monotonic() - started
        code = self.state()["ExitCode"]
        require(code == 0, f"exit code {code} after SIGTERM")
        return took

    def wait_end(self, seconds: float) -> float:
        """Waits until it has ended by itself; the seconds that took."""
        return wait_for("end of the program", lambda: not self.state()["Running"], seconds)

    def memory_peak(self) -> int | None:
        """Most bytes the container's cgroup has held, page cache included; None if the kernel does not tell."""
        pid = self.state()["Pid"]
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            names = (
                [f"/sys/fs/cgroup{path}/memory.peak"]
                if not controllers
                else [f"/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes"]
                if "memory" in controllers.split(",")
                else []
            )
            for name in names:
                if Path(name).exists():
                    return int(Path(name).read_text(encoding="ascii"))
        return None

    def process_status(self) -> dict[str, str]:
        """/proc/PID/status of the program, as the host sees it."""
        text = Path(f"/proc/{self.state()['Pid']}/status").read_text(encoding="ascii")
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
