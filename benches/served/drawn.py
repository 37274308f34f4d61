"""The images that are sent, drawn here: a benchmark needs no real photo."""

import io

import numpy
from PIL import Image


def waves(width: int, height: int) -> "numpy.ndarray":
    """Smooth gray, 0 to 255, float."""
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float32)
    return 127.5 + 60 * numpy.sin(x * 7 / width) + 60 * numpy.cos(y * 5 / height)


def face() -> bytes:
    """A 48×48 gray PNG of about 2 kB, as large as one of a face."""
    noise = numpy.random.default_rng(1).normal(0, 4, (48, 48))
    return encoded(waves(48, 48) + noise, "PNG")


def photo(width: int, height: int) -> bytes:
    """A colour JPEG with the detail of a photo: 1920×1280 is about 250 kB."""
    random = numpy.random.default_rng(1)
    planes = []
    for _ in range(3):
        # Detail at every size, weaker the finer it is, as in photos.
        plane = waves(width, height)
        for step, strength in ((64, 24), (16, 12), (4, 6)):
            coarse = random.normal(0, strength, (height // step + 1, width // step + 1)).astype(numpy.float32)
            image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
            plane = plane + numpy.asarray(image)
        planes.append(plane)
    return encoded(numpy.stack(planes, 2), "JPEG", quality=75)


def encoded(pixels: "numpy.ndarray", kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8)).save(file, kind, **options)
    return file.getvalue()
