"""Bits, in the two orders that image formats pack them, and prefix codes."""


class LowFirst:
    """Bits, the least significant first (deflate, lossless WebP)."""

    def __init__(self) -> None:
        self.value, self.length = 0, 0

    def put(self, value: int, bits: int) -> None:
        """Appends a number."""
        self.value |= (value & ((1 << bits) - 1)) << self.length
        self.length += bits

    def code(self, code: int, bits: int) -> None:
        """Appends a prefix code, whose first bit is its most significant one."""
        self.put(int(format(code, f"0{bits}b")[::-1], 2), bits)

    def repeat(self, other: "LowFirst", times: int) -> None:
        """Appends `other` that number of times, by doubling it."""
        value, length = other.value, other.length
        while times:
            if times & 1:
                self.value |= value << self.length
                self.length += length
            value |= value << length
            length *= 2
            times >>= 1

    def bytes(self) -> bytes:
        """All of them, filled up with zeros."""
        return self.value.to_bytes((self.length + 7) // 8, "little")


def high_first(bits: str) -> bytes:
    """Zeros and ones as bytes, the most significant bit first (fax, TIFF's LZW), filled up with zeros."""
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""


def canonical(lengths: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Canonical prefix codes from the length of each symbol: its code and length."""
    code, codes = 0, {}
    for length in range(1, 16):
        for symbol in sorted(symbol for symbol, of in lengths.items() if of == length):
            codes[symbol] = (code, length)
            code += 1
        code <<= 1
    return codes
