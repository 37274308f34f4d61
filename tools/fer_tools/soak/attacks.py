"""Good requests during attacks: do they wait?

The attacker is a process of its own (`python3 -m fer_tools.soak.attacks HOST PORT IDLE NAME`): in the good client's process,
the time it takes to open thousands of sockets would be counted as the server's.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fer_tools.shared.asynchttp import Address, message
from fer_tools.shared.images import png
from fer_tools.shared.project import TOOLS
from fer_tools.shared.report import percentile
from fer_tools.soak.server import Soaked

GOOD = message("POST", "/predict", "image/png", png(48, 48))
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# `GET /livez` in HPACK.
LIVEZ = b"\x82\x86\x04\x06/livez\x01\x01x"
DRIPPING = 200

Attack = Callable[[Address], Coroutine[Any, Any, None]]
# Fewer than `--max-connections` (4,096 by default): they stay.
FEW = 3000


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


async def good(server: Soaked, seconds: float, rate: float = 50) -> list[float]:
    """Times of good requests at a fixed rate, each on a connection of its own."""
    times: list[float] = []

    async def one(due: float) -> None:
        status, body = await server.address.ask(GOOD)
        if status != 200:
            raise SystemExit(f"a good request was answered with {status}: {body!r}")
        times.append(time.perf_counter() - due)

    began = time.perf_counter()
    tasks = []
    for n in range(int(seconds * rate)):
        due = began + n / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    return times


async def keep(server: Address, data: bytes, pause: float) -> None:
    """One connection that sends this again and again; a new one when it is closed."""
    while True:
        try:
            _, writer = await server.connect()
            while True:
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(pause)
        except OSError:
            await asyncio.sleep(0.1)


async def together(*tasks: Awaitable[None]) -> None:
    await asyncio.gather(*tasks)


def idle(count: int) -> Attack:
    async def attack(server: Address) -> None:
        held = []
        # Too many at once would only fill the kernel's queue.
        while True:
            held = [c for c in held if not c[0].at_eof()]
            for _ in range(min(200, count - len(held))):
                try:
                    held.append(await server.connect())
                except OSError:
                    break
            await asyncio.sleep(0.05)

    return attack


async def heads(server: Address) -> None:
    await together(*(keep(server, b"GET /livez HTTP/1.1\r\nx-slow: " if n % 2 else b"P", 0.2) for n in range(DRIPPING)))


async def bodies(server: Address) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n"

    async def one() -> None:
        while True:
            try:
                _, writer = await server.connect()
                writer.write(head)
                while True:
                    writer.write(b"x" * 100)
                    await writer.drain()
                    await asyncio.sleep(0.2)
            except OSError:
                await asyncio.sleep(0.1)

    await together(*(one() for _ in range(DRIPPING)))


async def resets(server: Address) -> None:
    async def one() -> None:
        n = 0
        while True:
            try:
                _, writer = await server.connect()
                writer.write(GOOD[: (n * 37) % len(GOOD)])
                await writer.drain()
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                writer.close()
            except OSError:
                pass
            n += 1
            await asyncio.sleep(0.02)

    await together(*(one() for _ in range(4)))


def flood(frames: Callable[[int], bytes]) -> Attack:
    async def one(server: Address) -> None:
        while True:
            try:
                reader, writer = await server.connect()
                writer.write(PREFACE + frame(4, 0, 0))
                for n in range(1_000_000):
                    writer.write(frames(n))
                    if n % 100 == 0:
                        await writer.drain()
                        await asyncio.sleep(0.01)
                    if reader.at_eof() or writer.transport.is_closing():
                        break
            except OSError:
                pass
            await asyncio.sleep(0.1)

    async def attack(server: Address) -> None:
        await together(*(one(server) for _ in range(4)))

    return attack


def rapid(n: int) -> bytes:
    stream = 2 * n + 1
    return frame(1, 5, stream, LIVEZ) + frame(3, 0, stream, (8).to_bytes(4, "big"))


def continuation(n: int) -> bytes:
    return frame(1, 1, 1, LIVEZ) if n == 0 else frame(9, 0, 1, b"\0\x01a\x64" + b"b" * 100)


def attacks(connections: int) -> dict[str, Attack]:
    return {
        f"{FEW} idle connections": idle(FEW),
        # An evicted connection is opened again at once: thousands of new connections a second.
        f"{connections} idle connections that come again": idle(connections),
        "heads that drip": heads,
        "bodies that drip": bodies,
        "resets": resets,
        "HTTP/2 rapid reset": flood(rapid),
        "HTTP/2 continuations": flood(continuation),
        "HTTP/2 pings": flood(lambda _: frame(6, 0, 0, b"\0" * 8)),
    }


async def measure(server: Soaked, seconds: float, connections: int) -> int:
    """Prints a table; 1 if p99 during an attack is more than twice what it is alone."""
    await good(server, 3)
    alone = await good(server, seconds)
    base = percentile(alone, 0.99)
    print("| during | p50 | p99 | p99 against alone | memory | descriptors |\n| --- | --- | --- | --- | --- | --- |")
    row(server, "nothing", alone, base)
    wrong = 0
    for name in attacks(connections):
        host, port = server.address
        attacker = [sys.executable, "-B", "-m", "fer_tools.soak.attacks", host, str(port), str(connections), name]
        with subprocess.Popen(attacker, cwd=TOOLS) as attacking:
            try:
                await asyncio.sleep(min(5, seconds))
                times = await good(server, seconds)
                row(server, name, times, base)
                if attacking.poll() is not None:
                    raise SystemExit(f"the attacker ended by itself, with {attacking.returncode}")
            finally:
                attacking.kill()
        wrong |= percentile(times, 0.99) > 2 * base
        await asyncio.sleep(1)
    return int(wrong)


def row(server: Soaked, name: str, times: list[float], base: float) -> None:
    half, late = percentile(times, 0.5), percentile(times, 0.99)
    memory = f"{server.resident() / 1e6:.0f} MB | {server.descriptors()}"
    print(f"| {name} | {1000 * half:.1f} ms | {1000 * late:.1f} ms | × {late / base:.2f} | {memory} |", flush=True)


if __name__ == "__main__":
    HOST, PORT, COUNT, NAME = sys.argv[1:]
    asyncio.run(attacks(int(COUNT))[NAME](Address(HOST, int(PORT))))
