"""Load from threads on kept-alive connections, each of which sends as soon as it has its answer."""

import http.client
import threading
import time
from collections import Counter

from fer_tools.shared.client import Client
from fer_tools.shared.report import require


class Load:
    """Runs from when it is made until `stop`."""

    def __init__(
        self, port: int, path: str, body: bytes, kind: str, threads: int, pause: float = 0.0, timeout: float = 15
    ) -> None:
        self.port, self.path, self.body, self.kind = port, path, body, kind
        self.pause, self.timeout = pause, timeout
        self.statuses: Counter = Counter()
        self.errors: list[str] = []
        self.refusals: list[str] = []
        self.seconds: list[float] = []
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.began = time.monotonic()
        self.ended = 0.0
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def work(self) -> None:
        """One connection, opened again after an error or when the server closes it."""
        client = Client(self.port, self.timeout)
        while not self.ending.is_set():
            try:
                answer = client.send("POST", self.path, self.body, self.kind)
                with self.lock:
                    if answer.status == 200:
                        self.seen(answer.body)
                    elif len(self.refusals) < 3:
                        self.refusals.append(f"{answer.status} {answer.body[:200]!r}")
                    self.statuses[answer.status] += 1
                    self.seconds.append(answer.took)
                if answer.status != 200:
                    time.sleep(0.05)
            except (OSError, http.client.HTTPException) as error:
                client.close()
                with self.lock:
                    self.errors.append(f"{type(error).__name__}: {error}")
                time.sleep(0.05)
            if self.pause:
                time.sleep(self.pause)
        client.close()

    def seen(self, body: bytes) -> None:
        """Called with the body of each 200; a subclass may check it."""

    def stop(self) -> None:
        """Lets each connection finish what it sent."""
        self.ending.set()
        for thread in self.threads:
            thread.join(self.timeout + 5)
        self.ended = time.monotonic()

    def require_good(self) -> None:
        """Fails unless every request was answered with 200."""
        bad = {code: count for code, count in self.statuses.items() if code != 200}
        good = self.total() > 0 and not bad and not self.errors
        require(good, f"{self.total()} answers, among them {bad}: {self.refusals}; errors {self.errors[:5]}")

    def total(self) -> int:
        """Answers of any status."""
        return sum(self.statuses.values())

    def rate(self) -> float:
        """Answers a second."""
        return self.total() / ((self.ended or time.monotonic()) - self.began)
