"""GIF, BMP and PNM: large images of equal pixels, in as few bytes as the formats allow; photos that cost the face detector most."""

import random
import struct
import zlib

from fer_tools.shared.images import png_of

LARGE = 7071


def gif_blocks(data: bytes) -> bytes:
    """GIF's chain of blocks of up to 255 bytes."""
    blocks = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def gif_codes(pixels: int) -> bytes:
    """GIF's LZW of equal pixels, two colours."""
    clear, end = 4, 5
    value = length = done = run = 0
    out = bytearray()

    def put(code: int, bits: int) -> None:
        nonlocal value, length
        value |= code << length
        length += bits
        while length >= 8:
            out.append(value & 255)
            value >>= 8
            length -= 8

    bits = 3
    while done < pixels:
        if run == 0:
            put(clear, bits)
            bits = 3
        code = 0 if run == 0 else end + run
        put(code, bits)
        run += 1
        done += run
        # The decoder's table has grown by one for each code but the first.
        if end + run >= 1 << bits and bits < 12:
            bits += 1
        if end + run >= 4095:
            run = 0
    put(end, bits)
    put(0, 8)
    return bytes(out)


def gif(width: int = LARGE, height: int = LARGE, frame_width: int = 0, frame_height: int = 0, interlaced: bool = False) -> bytes:
    """A screen, and a frame of that size or smaller."""
    frame_width, frame_height = frame_width or width, frame_height or height
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"," + struct.pack("<HHHHB", 0, 0, frame_width, frame_height, 0x40 * interlaced)
    return screen + frame + b"\x02" + gif_blocks(gif_codes(frame_width * frame_height)) + b";"


def gif_comments(count: int = 5_000_000) -> bytes:
    """Comments of no text before the frame."""
    whole = gif(16, 16)
    at = whole.index(b",", 13)
    return whole[:at] + b"!\xfe\0" * count + whole[at:]


def gif_clears(count: int = 20_000_000) -> bytes:
    """A frame that only ever clears its table."""
    codes = bytes.fromhex("244992") * (count // 3)  # 100 100 100 …, three bits each
    return gif(16, 16)[:29] + b"\x02" + gif_blocks(codes) + b";"


def bmp(compression: int, bits: int, pixels: bytes, width: int = LARGE, height: int = LARGE) -> bytes:
    """A BMP with a palette of two colours if it has up to 8 bits."""
    palette = b"\0\0\0\0\xff\xff\xff\0" if bits <= 8 else b""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0)
    offset = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + head + palette + pixels


def bmp_empty() -> bytes:
    """Run lengths that end at once."""
    return bmp(1, 8, b"\0\1")


def bmp_runs() -> bytes:
    """Run lengths of 255 pixels."""
    full, rest = divmod(LARGE, 255)
    row = b"\xff\1" * full + bytes([rest, 1]) + b"\0\0"
    return bmp(1, 8, row * LARGE + b"\0\1")


def bmp_steps(count: int = 5_000_000) -> bytes:
    """Steps of no length in place of pixels."""
    return bmp(1, 8, b"\0\2\0\0" * count + b"\0\1", 64, 64)


def pnm_bits(side: int = LARGE) -> bytes:
    """Eight pixels a byte."""
    return b"P4 %d %d\n" % (side, side) + bytes(-(-side // 8) * side)


def pnm_text(side: int = 4472) -> bytes:
    """A pixel a byte, as text."""
    return b"P1 %d %d\n" % (side, side) + b"1" * (side * side)


def pnm_numbers(side: int = 1825) -> bytes:
    """Colours as text."""
    return b"P3 %d %d 65535\n" % (side, side) + b"1 " * (3 * side * side)


def pnm_blanks(length: int = 20_000_000) -> bytes:
    """A head with megabytes of blanks."""
    return b"P5" + b" " * length + b"8 8 255\n" + bytes(64)


def texture(seed: int = 0, period: int = 4, side: int = 1600) -> bytes:
    """A random texture of that period: on some of them nearly every window of the face detector goes far."""
    drawn = random.Random(seed)
    levels = drawn.choice((2, 4, 256))
    cell = [bytes(drawn.randrange(levels) * 255 // (levels - 1) for _ in range(period)) for _ in range(period)]
    rows = (b"\0" + (cell[y % period] * (side // period + 1))[:side] for y in range(side))
    return png_of(side, side, zlib.compress(b"".join(rows), 9))
