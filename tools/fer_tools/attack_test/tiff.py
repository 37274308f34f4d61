"""TIFF: fax whose time grows with the square of its size, samples that are not pixels, a million strips."""

import struct
import zlib
from typing import NamedTuple

from fer_tools.attack_test.bits import high_first

LARGE = 7071
NONE, FAX4, LZW, DEFLATE, PACKBITS = 1, 4, 5, 8, 32773
BYTE, ASCII, SHORT, LONG = 1, 2, 3, 4
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4}
FORMATS = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I"}


class Strip(NamedTuple):
    """Stands for where a strip lies."""

    number: int


def padded(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def tiff(tags: dict[int, tuple[int, list | bytes]], strips: list[bytes]) -> bytes:
    """Little endian; the strips lie behind the directory and the values that do not fit into it."""
    at = 8 + 2 + 12 * len(tags) + 4
    sizes = {tag: SIZES[kind] * len(values) for tag, (kind, values) in tags.items()}
    outside = {}
    for tag in sorted(tags):
        if sizes[tag] > 4:
            outside[tag] = at
            at += sizes[tag] + sizes[tag] % 2
    starts = []
    for strip in strips:
        starts.append(at)
        at += len(strip) + len(strip) % 2
    directory, values_outside = struct.pack("<H", len(tags)), b""
    for tag, (kind, values) in sorted(tags.items()):
        numbers = (starts[value.number] if isinstance(value, Strip) else value for value in values)
        data = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{FORMATS[kind]}", *numbers)
        directory += struct.pack("<HHI", tag, kind, len(values))
        if tag in outside:
            directory += struct.pack("<I", outside[tag])
            values_outside += padded(data)
        else:
            directory += data.ljust(4, b"\0")
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + values_outside + b"".join(padded(strip) for strip in strips)


def stripped(width: int, height: int, strips: list[bytes], rows: int, kind: int, bits: int = 1, samples: int = 1, **more: tuple) -> bytes:
    """Gray of one sample, or RGB; strips of that number of rows."""
    tags = {
        256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [bits] * min(samples, 3)), 259: (SHORT, [kind]),
        262: (SHORT, [0 if samples == 1 else 2]), 273: (LONG, [Strip(number) for number in range(len(strips))]),
        277: (SHORT, [samples]), 278: (LONG, [rows]), 279: (LONG, [len(strip) for strip in strips]),
    }  # fmt: skip
    return tiff({**tags, **{int(tag[1:]): value for tag, value in more.items()}}, strips)


def fax_square(size: int = 200_000) -> bytes:
    """CCITT group 4, two rows of 64 pixels. The first changes its colour at 10 as often as half of the file holds, then at 12.
    In the second the position goes to and fro over all of them: each byte moves it in the row above by the list's length."""
    both = "001" + "00110101" + "0000110111"  # horizontal mode, a white run of 0, a black run of 0
    to_ten = "001" + "00111" + "0000110111"
    to_twelve = "001" + "0111" + "0000110111"
    same, three_left = "1", "0000010"
    first = to_ten + both * (size * 8 // 2 // 21) + to_twelve + both + same
    second = same + (three_left + same) * (size * 8 // 2 // 8)
    return stripped(64, 2, [high_first(first + second)], 2, FAX4)


def fax_white(side: int = LARGE) -> bytes:
    """CCITT group 4, all white: a bit a row."""
    return stripped(side, side, [b"\xff" * (side // 8 + 1) + b"\0\x10\x01"], side, FAX4)


def fax_busy(side: int = LARGE) -> bytes:
    """CCITT group 4, another colour at each pixel, one bit each."""
    first = ("001" + "000111" + "010") * (side // 2) + "1"
    return stripped(side, side, [high_first(first + "1" * ((side // 2 * 2 + 1) * (side - 1)))], side, FAX4)


def lzw(length: int) -> bytes:
    """Zeros; the codes stand for 1, 2, 3 … bytes until the table is full."""
    clear, end, full = 256, 257, 4093
    codes, done, run = "", 0, 0

    def put(code: int) -> str:
        return format(code, f"0{max(9, (end + 1 + run).bit_length())}b")

    while done < length:
        if run == 0:
            codes += put(clear)
        codes += put(end + run if run else 0)
        run += 1
        done += run
        if end + run > full:
            codes += put(clear)
            run = 0
    return high_first(codes + put(end))


def packbits(length: int) -> bytes:
    """Zeros in runs of 128."""
    return bytes([129, 0]) * (length // 128) + bytes([129, 0])


def plain(kind: int, samples: int = 3, side: int = LARGE, bits: int = 8) -> bytes:
    """A large black image, each strip 512 rows."""
    row = side * samples * bits // 8
    strip = {DEFLATE: lambda: zlib.compress(bytes(row * 512), 9), LZW: lambda: lzw(row * 512), PACKBITS: lambda: packbits(row * 512)}[kind]()
    return stripped(side, side, [strip] * -(-side // 512), 512, kind, bits, samples)


def thin_strips(rows: int = 43_000) -> bytes:
    """A strip for each row of each plane, each compressed by itself: 129,000 for 43,000 pixels."""
    strip = zlib.compress(b"\0", 9)
    return stripped(1, rows, [strip] * (3 * rows), 1, DEFLATE, 8, 3, t284=(SHORT, [2]))


def turned_strips(count: int = 1_000_000, length: int = 8_000_000) -> bytes:
    """Bits in the other order; each of many strips is said to be the whole file, so that a reader turns all of it each time."""
    more = {"t266": (SHORT, [2]), "t273": (LONG, [Strip(0)] * count), "t279": (LONG, [length] * count)}
    return stripped(48, 48, [bytes(length)], 48, NONE, 8, **more)


def text_tag(length: int = 20_000_000) -> bytes:
    """An orientation of 20 million letters."""
    return stripped(16, 16, [bytes(256)], 16, NONE, 8, t274=(ASCII, b"A" * length))


def entries(count: int = 1_000_000) -> bytes:
    """BigTIFF with a directory of a million entries."""
    listed = (struct.pack("<HHQQ", 1000 + number % 60000, 4, 1, 0) for number in range(count))
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, count) + b"".join(listed) + bytes(8)
