"""JPEG: scans made of a byte, or of nothing, over a large image. A decoder may fill what is missing with zero bits."""

import struct

DQT = b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
END = b"\xff\xd9"
LARGE = 7071
BASELINE, PROGRESSIVE, LOSSLESS, ARITHMETIC, ARITHMETIC_PROGRESSIVE = 0xC0, 0xC2, 0xC3, 0xC9, 0xCA
GRAY = ((1, 0x11),)
COLOR = ((1, 0x11), (2, 0x11), (3, 0x11))


def table(kind: int, symbol: int) -> bytes:
    """A Huffman table with one code: the bit 0 means `symbol`."""
    return b"\xff\xc4" + struct.pack(">HB", 2 + 17 + 1, kind) + b"\x01" + b"\0" * 15 + bytes([symbol])


def frame(kind: int, width: int, height: int, parts: tuple = GRAY, bits: int = 8) -> bytes:
    """The head of a file: its quantisation table, size and components."""
    head = struct.pack(">HBHHB", 8 + 3 * len(parts), bits, height, width, len(parts))
    return b"\xff\xd8" + DQT + b"\xff" + bytes([kind]) + head + b"".join(bytes([of, sampling, 0]) for of, sampling in parts)


def scan(parts: tuple = GRAY, first: int = 0, last: int = 63, approximation: int = 0) -> bytes:
    """The head of a scan, and a byte of it."""
    names = b"".join(bytes([of, 0]) for of, _ in parts)
    head = struct.pack(">HB", 6 + 2 * len(parts), len(parts)) + names
    return b"\xff\xda" + head + bytes([first, last, approximation]) + b"\0"


def progressive(scans: int = 100, width: int = LARGE, height: int = LARGE) -> bytes:
    """Each scan sets 63 coefficients of all blocks from one byte."""
    head = frame(PROGRESSIVE, width, height) + table(0x00, 0) + table(0x10, 0x01)
    return head + scan(last=0) + scan(first=1) * (scans - 2) + END


def refinements(width: int = LARGE, height: int = LARGE) -> bytes:
    """Complete and right: 882 scans, each of which says in some 50 bytes that one coefficient is 0 in all blocks."""
    blocks = -(-width // 8) * -(-height // 8)
    # The only code of the table is a run of up to 32,767 blocks: the bit 0, then 14 bits.
    runs = (min(left, 32767) - 16384 for left in range(blocks, 16383, -32767))
    bits = "".join(format(run, "015b") for run in runs)
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    # A bit of each coefficient after the other, the highest first.
    approximations = [13] + [(bit + 1) << 4 | bit for bit in reversed(range(13))]
    scans = (scan(first=at, last=at, approximation=bits)[:-1] + data for at in range(1, 64) for bits in approximations)
    head = frame(PROGRESSIVE, width, height) + table(0x00, 0) + table(0x10, 0xE0)
    return head + scan(last=0)[:-1] + b"\0" * (blocks // 8 + 1) + b"".join(scans) + END


def sequential(kind: int = BASELINE, width: int = LARGE, height: int = LARGE, parts: tuple = COLOR) -> bytes:
    """One scan of one byte."""
    return frame(kind, width, height, parts) + table(0x00, 0) + table(0x10, 0x01) + scan(parts) + END


def arithmetic(scans: int = 100) -> bytes:
    """Progressive, arithmetic coding: each bit costs more than Huffman's."""
    return frame(ARITHMETIC_PROGRESSIVE, LARGE, LARGE) + scan(last=0) + scan(first=1) * (scans - 2) + END


def lossless() -> bytes:
    """Lossless: predicted from the left, all differences zero."""
    return frame(LOSSLESS, LARGE, LARGE) + table(0x00, 0) + scan(first=1, last=0) + END


def many_scans(count: int = 2000, width: int = 65500, height: int = 763) -> bytes:
    """Sequential, one component a scan, the first again and again: 11 bytes for 8,188 blocks."""
    return frame(BASELINE, width, height, COLOR) + table(0x00, 0) + table(0x10, 0x01) + scan() * count + END


def many_tables(count: int = 500_000) -> bytes:
    """A table again and again."""
    return frame(BASELINE, 8, 8) + table(0x00, 0) + table(0x10, 0x00) * count + scan() + END


def many_profiles(count: int = 900_000) -> bytes:
    """Segments of a colour profile, one byte each."""
    segment = b"\xff\xe2" + struct.pack(">H", 2 + 14 + 1) + b"ICC_PROFILE\0\1\1x"
    return b"\xff\xd8" + segment * count + many_tables(1)[2:]


def sampled(luma: int = 0x11, chroma: int = 0x44) -> bytes:
    """Chroma finer than luma: 33 samples a pixel."""
    return sequential(parts=((1, luma), (2, chroma), (3, chroma)))
