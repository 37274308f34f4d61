"""The server under a soak: it is asked to end in order, and its log stays."""

import resource
import signal
import subprocess
from pathlib import Path

from fer_tools.shared.asynchttp import Address
from fer_tools.shared.server import Server


class Soaked(Server):
    """A server whose log is named at the end."""

    keep_log = True

    def __init__(self, program: Path, model: Path) -> None:
        # Attacks open many connections from here, and the server inherits the limit.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        super().__init__(program, "--log-format", "json", model=model, log="info")
        self.address = Address("127.0.0.1", self.port)

    def close(self) -> None:
        """Asks it to end at once, which a second SIGTERM does; it logs its last figures."""
        self.child.send_signal(signal.SIGTERM)
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(40)
        except subprocess.TimeoutExpired:
            pass
        super().close()
        print(f"The server ended with exit code {self.child.returncode}; its log is {self.log.name}.")
