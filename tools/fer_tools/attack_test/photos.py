"""Draws a photo-like JPEG: `python photos.py MEGAPIXELS progressive|sequential FILE`, in an environment with Pillow and numpy."""

import sys

import numpy as np
from PIL import Image


def draw(megapixels: float, kind: str, path: str) -> None:
    """Smooth shapes and grain, 4:3."""
    height = int((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = height * 4 // 3
    drawn = np.random.default_rng(1)
    shapes = Image.fromarray(drawn.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    grain = drawn.integers(0, 16, (height, width, 1), dtype=np.uint8)
    pixels = np.minimum(np.asarray(shapes), 239) + grain
    Image.fromarray(pixels).save(path, "JPEG", quality=85, progressive=kind == "progressive")


if __name__ == "__main__":
    draw(float(sys.argv[1]), sys.argv[2], sys.argv[3])
