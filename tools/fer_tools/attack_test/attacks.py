"""What is sent, and how."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from fer_tools.attack_test import jpeg, png, simple, tiff, webp
from fer_tools.shared import asynchttp
from fer_tools.shared.asynchttp import Address

# An answer comes within --request-timeout (10 s) of the body's end.
PATIENCE = 12.0


class Answer(NamedTuple):
    """One answer to an attack; status 0 and the error if there was none."""

    status: int
    code: str
    seconds: float


async def send(server: Address, request: bytes) -> Answer:
    """One request on a connection of its own."""
    began = time.monotonic()
    code, status = "", 0
    try:
        status, body = await asyncio.wait_for(server.ask(request), PATIENCE)
        if status >= 400:
            code = str(json.loads(body).get("code", ""))
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
        code = type(error).__name__
    return Answer(status, code, time.monotonic() - began)


async def steadily(server: Address, request: bytes, rate: float, count: int) -> list[Answer]:
    """Requests at a steady rate, whatever their answers take."""
    began, tasks = time.monotonic(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(send(server, request)))
    return await asyncio.gather(*tasks)


async def together(server: Address, request: bytes, count: int) -> list[Answer]:
    """Requests at once."""
    return await asyncio.gather(*(send(server, request) for _ in range(count)))


async def unread(server: Address, request: bytes, connections: int, seconds: float) -> list[Answer]:
    """The same request again and again on many connections, whose answers are not read."""

    async def one() -> None:
        with socket.socket() as client:
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, server)
            try:
                while True:
                    await loop.sock_sendall(client, request)
            except OSError:  # the server has closed it
                await asyncio.sleep(seconds)

    tasks = [asyncio.create_task(one()) for _ in range(connections)]
    await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return []


class Attack(NamedTuple):
    """One attack on the server."""

    name: str
    # Its request's body; for `unread`, the whole request.
    body: Callable[[], bytes]
    # Requests a second, at least three of them; or all of them at once.
    rate: float = 10
    at_once: int = 0
    path: str = "/predict"
    kind: str = "application/octet-stream"
    # Connections on which answers are not read.
    unread: int = 0
    # Whether the quick form has it.
    quick: bool = False
    # Whether a decoder is ended at it, wherever and however fast it runs.
    ends: bool = False

    def request(self) -> bytes:
        """The bytes of a request."""
        return self.body() if self.unread else asynchttp.message("POST", self.path, self.kind, self.body())

    def sending(self, seconds: float) -> float:
        """How many seconds it sends, if it is told to send for so many."""
        return 0.0 if self.at_once else seconds if self.unread else max(3, int(self.rate * seconds)) / self.rate

    def run(self, server: Address, request: bytes, seconds: float) -> Coroutine[Any, Any, list[Answer]]:
        """Sends for that many seconds, and waits for the answers."""
        if self.unread:
            return unread(server, request, self.unread, seconds)
        if self.at_once:
            return together(server, request, self.at_once)
        return steadily(server, request, self.rate, round(self.rate * self.sending(seconds)))


def many(body: Callable[[], bytes], count: int) -> Callable[[], bytes]:
    """An image several times in a JSON request."""
    return lambda: json.dumps({"images": [base64.b64encode(body()).decode()] * count}).encode()


def long_id() -> bytes:
    """A request on /v2 whose `id` has four million letters, which the answer would repeat."""
    image = base64.b64encode(simple.gif(48, 48)).decode()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [image]}
    body = json.dumps({"id": "x" * 4_000_000, "inputs": [tensor]}).encode()
    return asynchttp.message("POST", "/v2/models/fer2013/infer", "application/json", body)


def largest_answer() -> bytes:
    """The answer is the longest that a GET has."""
    return asynchttp.message("GET", "/openapi.yaml") * 1000


JSON = "application/json"
# The light ones of each format first, then those that only megabytes reach.
IMAGES = [
    Attack("JPEG: 100 scans made of a byte each", jpeg.progressive, quick=True),
    Attack("JPEG: 2,000 scans of a sequential file", jpeg.many_scans),
    Attack("JPEG: sequential, a scan of one byte", jpeg.sequential),
    Attack("JPEG: chroma finer than luma", jpeg.sampled),
    Attack("JPEG: 100 arithmetic scans", jpeg.arithmetic),
    Attack("JPEG: 882 complete scans in 160 kB", jpeg.refinements, quick=True),
    Attack("PNG: 50 megapixels, RGBA", png.plain),
    Attack("PNG: the same, filter Paeth", lambda: png.plain(filtered=4)),
    Attack("PNG: the same, interlaced", lambda: png.plain(interlaced=True), quick=True),
    Attack("PNG: 50 megapixels, RGBA of 16 bits", lambda: png.plain(bits=16)),
    Attack("WebP: 50 megapixels in 34 bytes", webp.uniform, quick=True),
    Attack("WebP: the same through all transforms", webp.transformed),
    Attack("WebP: 50 megapixels, lossy", webp.lossy),
    Attack("WebP: 67 megapixels behind RIFF's end", webp.lossy_tail),
    Attack("WebP: EXIF of 4 GiB behind RIFF's end", webp.exif_tail, quick=True, ends=True),
    Attack("WebP: 7,000 code groups", lambda: webp.groups(7_000), rate=3),
    Attack("TIFF: fax, square of 20 kB", lambda: tiff.fax_square(20_000)),
    Attack("TIFF: fax, square of 200 kB", tiff.fax_square, quick=True, ends=True),
    Attack("TIFF: fax, 50 megapixels in 1 kB", tiff.fax_white),
    Attack("TIFF: LZW, 50 megapixels", lambda: tiff.plain(tiff.LZW)),
    Attack("TIFF: Deflate, 50 megapixels", lambda: tiff.plain(tiff.DEFLATE)),
    Attack("GIF: 50 megapixels", simple.gif),
    Attack("GIF: a pixel on 50 megapixels", lambda: simple.gif(frame_width=1, frame_height=1)),
    Attack("BMP: 50 megapixels, no data", simple.bmp_empty),
    Attack("BMP: 50 megapixels, run lengths", simple.bmp_runs),
    Attack("PNM: a megapixel, 8 pixels a byte", lambda: simple.pnm_bits(1000)),
    Attack("JSON of 64 WebPs of 50 megapixels", many(webp.uniform, 64), kind=JSON, rate=1),
    Attack("JSON of 64 WebPs of a megapixel", many(lambda: webp.transformed(1024), 64), kind=JSON, rate=1),
    Attack("/faces: a texture that costs the detector most", lambda: simple.texture(2, 12), path="/faces", quick=True),
    Attack("/faces: PNG, 50 megapixels", png.plain, path="/faces"),
    # Megabytes each.
    Attack("JPEG: 500,000 tables", jpeg.many_tables, rate=0.5),
    Attack("JPEG: 900,000 segments of a profile", jpeg.many_profiles, rate=0.5),
    Attack("PNG: 1.3 million comments", png.texts, rate=0.5),
    Attack("PNG: 1.2 million compressed comments", png.compressed_texts, rate=0.5),
    Attack("PNG: 1.7 million data chunks of no bytes", png.empty_data, rate=0.5),
    Attack("PNG: 4 million blocks of no bytes", png.stored_blocks, rate=0.5),
    Attack("PNG: 1.5 million deflate tables", png.tables, rate=0.5),
    Attack("WebP: 100,000 frames of 50 megapixels", webp.frames, rate=0.5),
    Attack("TIFF: fax, a change at each of 50 megapixels", tiff.fax_busy, rate=0.5),
    Attack("TIFF: PackBits, 50 megapixels", lambda: tiff.plain(tiff.PACKBITS), rate=0.5),
    Attack("TIFF: 129,000 strips of a byte", tiff.thin_strips, rate=0.5),
    Attack("TIFF: a million strips, bits turned", tiff.turned_strips, rate=0.5),
    Attack("TIFF: a tag of 20 MB", tiff.text_tag, rate=0.5),
    Attack("TIFF: a million entries", tiff.entries, rate=0.5),
    Attack("GIF: 5 million comments", simple.gif_comments, rate=0.5),
    Attack("GIF: 53 million clear codes", simple.gif_clears, rate=0.5),
    Attack("BMP: 5 million steps of no length", simple.bmp_steps, rate=0.5),
    Attack("PNM: 50 megapixels, 8 a byte", simple.pnm_bits, rate=0.5),
    Attack("PNM: 20 megapixels as text", simple.pnm_text, rate=0.5),
    Attack("PNM: 10 million numbers as text", simple.pnm_numbers, rate=0.5),
    Attack("PNM: 20 MB of blanks", simple.pnm_blanks, rate=0.5),
]  # fmt: skip
CLIENTS = [
    Attack("answers that are not read, 200 connections", largest_answer, unread=200, quick=True),
    Attack("/v2 requests of 4 MB, 500 connections", long_id, unread=500),
]
