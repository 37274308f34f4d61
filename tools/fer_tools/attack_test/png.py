"""PNG: a large image of equal bytes, and small images with a million of something."""

import functools
import struct
import zlib

from fer_tools.attack_test.bits import LowFirst, canonical

LARGE = 7071
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Origin and step of each pass of an interlaced image.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
# Order in which deflate stores the lengths of its code lengths (RFC 1951, section 3.2.7).
ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
SMALL = b"\0" * 72


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def head(width: int, height: int, bits: int = 8, color: int = 0, interlaced: bool = False) -> bytes:
    data = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", data)


def squeezed(row: bytes, rows: int) -> bytes:
    """A row again and again, compressed piece by piece."""
    squeeze = zlib.compressobj(6)
    many = max(1, (1 << 20) // len(row))
    parts = [squeeze.compress(row * min(many, rows - at)) for at in range(0, rows, many)]
    return b"".join(parts) + squeeze.flush()


@functools.cache
def plain(bits: int = 8, color: int = 6, filtered: int = 0, interlaced: bool = False, side: int = LARGE) -> bytes:
    """A large image of zeros, black; each row with this filter."""

    def length(width: int) -> int:
        return 1 + (width * bits * CHANNELS[color] + 7) // 8

    palette = chunk(b"PLTE", b"\0\0\0\xff\xff\xff") if color == 3 else b""
    if interlaced:
        sizes = [(-(-(side - x) // across), -(-(side - y) // down)) for x, y, across, down in PASSES]
        data = squeezed(b"\0", sum(length(width) * height for width, height in sizes))
    else:
        data = squeezed(bytes([filtered]) + b"\0" * (length(side) - 1), side)
    return head(side, side, bits, color, interlaced) + palette + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def small(before: bytes = b"", data: bytes | None = None) -> bytes:
    """8×8 gray."""
    return head(8, 8) + before + chunk(b"IDAT", data or zlib.compress(SMALL)) + chunk(b"IEND", b"")


def texts(count: int = 1_300_000) -> bytes:
    """Comments of no text."""
    return small(chunk(b"tEXt", b"a\0") * count)


def compressed_texts(count: int = 1_200_000) -> bytes:
    """Compressed comments of no bytes."""
    return small(chunk(b"zTXt", b"a\0\0") * count)


def empty_data(count: int = 1_700_000) -> bytes:
    """Data chunks of no bytes."""
    return small(chunk(b"IDAT", b"") * count)


def ending(before: bytes) -> bytes:
    """Deflate's last block, stored, and the checksum."""
    return before + struct.pack("<HH", 72, 72 ^ 0xFFFF) + SMALL + struct.pack(">I", zlib.adler32(SMALL))


def stored_blocks(count: int = 4_000_000) -> bytes:
    """Stored blocks of no bytes."""
    return small(data=ending(b"\x78\x01" + b"\0\0\0\xff\xff" * count + b"\1"))


def tables(count: int = 1_500_000) -> bytes:
    """Blocks without content, each with tables that are built first: 12 bytes each."""
    block = LowFirst()
    for value, bits in ((0, 1), (2, 2), (0, 5), (0, 5), (18 - 4, 4)):
        block.put(value, bits)
    lengths = {18: 1, 1: 1}
    for symbol in ORDER[:18]:
        block.put(lengths.get(symbol, 0), 3)
    codes = canonical(lengths)
    # The byte 0 has one bit, 255 symbols none, the end of the block one; so has the only distance.
    block.code(*codes[1])
    for zeros in (138, 117):
        block.code(*codes[18])
        block.put(zeros - 11, 7)
    block.code(*codes[1])
    block.code(*codes[1])
    block.code(1, 1)
    data = LowFirst()
    data.put(0x0178, 16)
    data.repeat(block, count)
    data.put(1, 3)
    data.put(0, -data.length % 8)
    return small(data=ending(data.bytes()))
