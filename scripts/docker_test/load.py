"""Load from threads on kept-alive connections, each sending as soon as it has its answer."""

import http.client
import threading
import time
from collections import Counter
from typing import List


class Load:
    """Runs from when it is made until `stop`."""

    def __init__(
        self, port: int, path: str, body: bytes, kind: str, threads: int, pause: float = 0.0, timeout: float = 15
    ) -> None:
        self.port, self.path, self.body, self.kind = port, path, body, kind
        self.pause, self.timeout = pause, timeout
        self.statuses: Counter = Counter()
        self.errors: List[str] = []
        self.refusals: List[str] = []
        self.seconds: List[float] = []
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.began = time.monotonic()
        self.ended = 0.0
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def work(self) -> None:
        """One connection, made anew after an error or when the other side closes it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        while not self.ending.is_set():
            began = time.monotonic()
            try:
                connection.request("POST", self.path, body=self.body, headers={"content-type": self.kind})
                answer = connection.getresponse()
                body = answer.read()
                with self.lock:
                    if answer.status == 200:
                        self.seen(body)
                    elif len(self.refusals) < 3:
                        self.refusals.append(f"{answer.status} {body[:200]!r}")
                    self.statuses[answer.status] += 1
                    self.seconds.append(time.monotonic() - began)
                if answer.status != 200:
                    time.sleep(0.05)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with self.lock:
                    self.errors.append(f"{type(error).__name__}: {error}")
                time.sleep(0.05)
            if self.pause:
                time.sleep(self.pause)
        connection.close()

    def seen(self, body: bytes) -> None:
        """What was answered with 200; for those who look closer."""

    def stop(self) -> None:
        """Lets each connection finish what it sent."""
        self.ending.set()
        for thread in self.threads:
            thread.join(self.timeout + 5)
        self.ended = time.monotonic()

    def total(self) -> int:
        """Answers of any status."""
        return sum(self.statuses.values())

    def rate(self) -> float:
        """Answers a second."""
        return self.total() / ((self.ended or time.monotonic()) - self.began)

    def percentile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        times = sorted(self.seconds)
        return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0
