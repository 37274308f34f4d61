"""The hostile images are what they say: an image that is refused for a wrong byte attacks nothing."""

import struct
import unittest
import zlib

from fer_tools.attack_test import jpeg, png, simple, tiff, webp
from fer_tools.attack_test.bits import canonical, high_first


def data_of(image: bytes) -> bytes:
    """What a PNG's data chunks hold, decompressed; each checksum is checked."""
    data, at = b"", 8
    while at < len(image):
        (length,) = struct.unpack_from(">I", image, at)
        kind, content = image[at + 4 : at + 8], image[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", image, at + 8 + length)[0] == zlib.crc32(kind + content)
        data += content if kind == b"IDAT" else b""
        at += 12 + length
    return zlib.decompress(data)


class Images(unittest.TestCase):
    """The parts that are written bit by bit."""

    def test_png_data_has_the_length_of_its_pixels(self) -> None:
        self.assertEqual(data_of(png.plain(side=5)), (b"\0" + bytes(4 * 5)) * 5)
        self.assertEqual(data_of(png.plain(side=5, filtered=4)), (b"\4" + bytes(4 * 5)) * 5)
        # Passes of 1×1, 1×1, 2×1, 1×2, 3×1, 2×3 and 5×2 pixels of four bytes; 12 rows with a filter byte each.
        self.assertEqual(len(data_of(png.plain(side=5, interlaced=True))), 4 * 25 + sum((1, 1, 1, 2, 1, 3, 2)))
        for image in (png.tables(3), png.stored_blocks(3), png.texts(3), png.empty_data(3)):
            self.assertEqual(data_of(image), png.SMALL)

    def test_lzw_of_tiff_stands_for_zeros(self) -> None:
        bits = "".join(format(byte, "08b") for byte in tiff.lzw(100_000))
        table: list[bytes] = []
        out, at, before = b"", 0, b""
        while True:
            length = max(9, (len(table) + 1).bit_length()) if table else 9
            code = int(bits[at : at + length], 2)
            at += length
            if code == 257:
                break
            if code == 256:
                table, before = [bytes([value]) for value in range(256)] + [b"", b""], b""
                continue
            entry = table[code] if code < len(table) else before + before[:1]
            if before:
                table.append(before + entry[:1])
            out, before = out + entry, entry
        self.assertGreaterEqual(len(out), 100_000)
        self.assertEqual(set(out), {0})

    def test_prefix_codes_are_complete(self) -> None:
        codes = canonical({0: 1, 1: 2, 2: 3, 3: 3})
        self.assertEqual(codes, {0: (0b0, 1), 1: (0b10, 2), 2: (0b110, 3), 3: (0b111, 3)})
        webp.heavy_group()  # asserts it of each of its codes
        self.assertEqual(high_first("101"), b"\xa0")

    def test_lengths_lead_from_head_to_end(self) -> None:
        file = webp.riff((b"ABCD", b"123"), tail=b"x")
        self.assertEqual(struct.unpack_from("<I", file, 4)[0], len(file) - 8 - 1)
        self.assertEqual(struct.unpack_from("<I", simple.bmp_empty(), 2)[0], len(simple.bmp_empty()))
        blocks = simple.gif_blocks(bytes(300))
        self.assertEqual((blocks[0], blocks[256], blocks[-1]), (255, 45, 0))

    def test_a_scan_of_refinements_covers_all_blocks(self) -> None:
        file = jpeg.refinements(1024, 2048)
        self.assertEqual(file.count(b"\xff\xda"), 1 + 63 * 14)


if __name__ == "__main__":
    unittest.main()
