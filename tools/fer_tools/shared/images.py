"""Images and a CSV drawn here: a test needs no file of a real face."""

import math
import struct
import zlib


def gray(width: int, height: int, phase: float) -> bytes:
    """Smooth gray waves, one byte a pixel; another phase is another image."""
    return bytes(
        int(127.5 + 60 * math.sin(x * 7 / width + phase) + 60 * math.cos(y * 5 / height - phase))
        for y in range(height)
        for x in range(width)
    )


def png_of(width: int, height: int, packed: bytes, depth: int = 8, color: int = 0) -> bytes:
    """A PNG around compressed rows, each with its filter byte 0; gray of 8 bits by default."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def png(width: int, height: int, phase: float = 0.0) -> bytes:
    """The waves as a PNG."""
    pixels = gray(width, height, phase)
    rows = (b"\0" + pixels[y * width : (y + 1) * width] for y in range(height))
    return png_of(width, height, zlib.compress(b"".join(rows)))


def deep_png(width: int, height: int) -> bytes:
    """A white PNG of 16-bit red, green, blue and alpha: small as a file, 8 bytes a pixel in memory."""
    squeeze = zlib.compressobj(1)
    row = b"\0" + b"\xff" * (8 * width)
    return png_of(width, height, b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush(), 16, 6)


def training_csv(rows: int, first: int = 0) -> str:
    """`emotion,pixels` as the FER2013 challenge lays it out, labels in turn; rows with other numbers are other images."""
    lines: list[str] = ["emotion,pixels"]
    for row in range(first, first + rows):
        lines.append(f"{row % 7}," + " ".join(str(value) for value in gray(48, 48, row * 0.9)))
    return "\n".join(lines) + "\n"
