"""Requests written by hand over asyncio, for more of them at a time than threads could send."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    async def connect(self) -> Connection:
        """A new connection."""
        return await asyncio.open_connection(self.host, self.port)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own."""
        connection = await self.connect()
        answer = await exchange(connection, request)
        connection[1].close()
        return answer


class Pool:
    """Kept-alive connections, as many as are needed at a time."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.free: list[Connection] = []

    async def exchange(self, request: bytes, seconds: float | None = None) -> tuple[int, bytes]:
        """One request and its whole response, within this time."""
        connection = await self.connection()
        answer = await asyncio.wait_for(exchange(connection, request), seconds)
        self.free.append(connection)
        return answer

    async def connection(self) -> Connection:
        """A free connection that the server has not closed (it does after `--header-timeout`), else a new one."""
        while self.free:
            reader, writer = self.free.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await self.address.connect()


def message(method: str, path: str, kind: str = "", body: bytes = b"") -> bytes:
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
    if kind:
        lines.append(f"content-type: {kind}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def exchange(connection: Connection, request: bytes) -> tuple[int, bytes]:
    """Sends a request and reads its whole response."""
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    lengths = [line[15:] for line in head if line.startswith(b"content-length:")]
    body = await reader.readexactly(int(lengths[0])) if lengths else b""
    return int(head[0].split(b" ")[1]), body


async def closed_loop(send: Callable[[], Coroutine[Any, Any, None]], connections: int, seconds: float) -> float:
    """Requests a second with this many connections, each of which sends as soon as it has its answer."""
    ends = time.perf_counter() + seconds

    async def work() -> int:
        done = 0
        while time.perf_counter() < ends:
            await send()
            done += 1
        return done

    return sum(await asyncio.gather(*(work() for _ in range(connections)))) / seconds


async def open_loop(send: Callable[[float], Coroutine[Any, Any, None]], rate: float, seconds: float) -> None:
    """Requests at random moments (a Poisson process). `send` gets the moment at which its request is due."""
    began = due = time.perf_counter()
    tasks = set()
    while due < began + seconds:
        due += random.expovariate(rate)
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(send(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
