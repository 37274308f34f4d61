"""Requests to a server on loopback."""

import http.client
import json
import re
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from fer_tools.shared.report import Failed, require


class Answer(NamedTuple):
    """An HTTP response, and the seconds from the request to its last byte."""

    status: int
    headers: dict[str, str]
    body: bytes
    took: float

    def json(self) -> dict:
        """The body as JSON."""
        return json.loads(self.body)

    def timing(self, step: str) -> float:
        """Milliseconds that the server says it spent on this step."""
        found = re.search(rf"\b{step};dur=([0-9.]+)", self.headers.get("server-timing", ""))
        return float(found.group(1)) if found else float("nan")


class Client:
    """A kept-alive connection. It is opened again by the next request after `close` or when the server closed it."""

    def __init__(self, port: int, timeout: float) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def send(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Answer:
        """One request and its whole response; raises OSError or http.client.HTTPException."""
        began = time.perf_counter()
        self.connection.request(method, path, body=body or None, headers={"content-type": kind} if kind else {})
        answer = self.connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, headers, answer.read(), time.perf_counter() - began)

    def close(self) -> None:
        """Closes the connection."""
        self.connection.close()


def request(port: int, method: str, path: str, body: bytes = b"", kind: str = "", timeout: float = 10) -> Answer:
    """One request on a connection of its own."""
    client = Client(port, timeout)
    try:
        return client.send(method, path, body, kind)
    finally:
        client.close()


def status(port: int, path: str, timeout: float = 2) -> int:
    """The status of a GET; 0 without a response."""
    try:
        return request(port, "GET", path, timeout=timeout).status
    except (OSError, http.client.HTTPException):
        return 0


def series(port: int) -> dict[str, float]:
    """Everything in /metrics: name with labels, value."""
    answer = request(port, "GET", "/metrics")
    require(answer.status == 200, f"/metrics answered {answer.status}")
    lines = (line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def free_port() -> int:
    """A port on loopback that no program listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what: str, condition: Callable[[], bool], seconds: float, pause: float = 0.02) -> float:
    """Waits until the condition holds; the seconds it took, or Failed."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if condition():
            return time.monotonic() - started
        time.sleep(pause)
    raise Failed(f"no {what} within {seconds:g} s")
