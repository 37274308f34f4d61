"""Photos that packages carry, and images that are drawn."""

import io
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageDraw

from fer_tools.shared.client import Answer, request
from fer_tools.shared.project import rustface_photo
from fer_tools.shared.server import Server

SKIMAGE = Path(skimage.__file__).parent / "data"
KIND = "application/octet-stream"
# Images of scikit-image without a face: textures, cells, a cat, a cup, coins, galaxies, a rocket, text, drawings.
FACELESS = """brick.png cell.png chelsea.png chessboard_GRAY.png chessboard_RGB.png clock_motion.png coffee.png coins.png
color.png grass.png gravel.png horse.png hubble_deep_field.jpg ihc.png logo.png microaneurysms.png moon.png
motorcycle_left.png page.png phantom.png retina.jpg rocket.jpg text.png""".split()


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The image as a file."""
    target = io.BytesIO()
    image.save(target, kind, **({"compress_level": 1} if kind == "PNG" else {}), **options)
    return target.getvalue()


def post(server: Server, path: str, body: bytes) -> Answer:
    """Sends an image."""
    return request(server.port, "POST", path, body, KIND, timeout=900)


class Photos:
    """Photos by name; what they show is in `checks`."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders

    def carried(self, name: str) -> Image.Image:
        """The photo of that name in the packages."""
        (path,) = (path for folder in self.folders for path in folder.rglob(name))
        return Image.open(path).convert("RGB")

    def skimage(self, name: str) -> Image.Image:
        """A photo of scikit-image."""
        return Image.open(SKIMAGE / name).convert("RGB")

    def solvay(self) -> Image.Image:
        """29 people in 1927."""
        return Image.open(rustface_photo()).convert("RGB")

    def group(self) -> Image.Image:
        """Six people at a table, 1920×1280."""
        photo = self.carried("t1.jpg").resize((1920, 1329), Image.Resampling.BICUBIC)
        return photo.crop((0, 24, 1920, 1304))

    def head(self, side: int) -> Image.Image:
        """The astronaut's head."""
        return self.skimage("astronaut.png").crop((120, 10, 330, 220)).resize((side, side), Image.Resampling.LANCZOS)


def landscape(seed: int, width: int = 960, height: int = 640) -> Image.Image:
    """Ridges of fractal hills under a sky with clouds, trees in front."""
    random = np.random.default_rng(seed)
    x = np.arange(width)
    y = np.arange(height)[:, None]
    sky = np.stack([np.broadcast_to(210 - 0.12 * y, (height, width)), np.broadcast_to(225 - 0.06 * y, (height, width)), np.full((height, width), 240.0)], -1)
    clouds = fractal(random, width, height)
    image = sky + 25 * np.clip(clouds, 0, 2)[..., None]
    for ridge in range(4):
        line = height * (0.35 + 0.15 * ridge) + sum(
            height / (12 * 2**k) * np.sin(x * (2**k) / (180 - 25 * ridge) + 6.3 * random.random()) for k in range(6)
        )
        ground = np.array([110 - 20 * ridge, 125 - 18 * ridge, 95 - 20 * ridge])
        texture = 18 * fractal(random, width, height)[..., None]
        image = np.where((y > line)[..., None], ground + texture, image)
    image = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(25):
        cx, cy, size = random.integers(width), random.integers(int(0.7 * height), height), random.integers(15, 70)
        draw.rectangle((cx - size / 12, cy, cx + size / 12, cy + size / 2), fill=(70, 50, 35))
        draw.ellipse((cx - size / 2, cy - size, cx + size / 2, cy + size / 6), fill=(40, int(random.integers(70, 120)), 45))
    return image


def fractal(random: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Noise whose strength falls with frequency, as in photos of nature; mean 0, deviation 1."""
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    strength = 1 / np.maximum(np.hypot(fx, fy), 1 / width)
    phases = np.exp(2j * np.pi * random.random(strength.shape))
    field = np.fft.irfft2(strength * phases, s=(height, width))
    return (field - field.mean()) / field.std()


def drawing(seed: int, width: int = 960, height: int = 640) -> Image.Image:
    """Shapes of all kinds and colours, some round with round things in them, some lines."""
    random = np.random.default_rng(1000 + seed)
    colour = lambda: tuple(int(v) for v in random.integers(0, 256, 3))  # noqa: E731
    image = Image.new("RGB", (width, height), colour())
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, w, h = random.integers(width), random.integers(height), random.integers(10, 220), random.integers(10, 220)
        shape = [draw.rectangle, draw.ellipse][random.integers(2)]
        shape((x, y, x + w, y + h), fill=colour(), outline=colour(), width=int(random.integers(0, 6)))
        if random.random() < 0.5:
            points = [(int(random.integers(width)), int(random.integers(height))) for _ in range(3)]
            draw.line(points, fill=colour(), width=int(random.integers(1, 9)))
    return image


def noise(seed: int, width: int = 960, height: int = 640) -> Image.Image:
    """White noise in blocks of 1 to 32 pixels, or fractal noise, gray or coloured."""
    random = np.random.default_rng(2000 + seed)
    if seed % 2:
        planes = [127 + 50 * fractal(random, width, height) for _ in range(3 if seed % 4 == 1 else 1)]
        values = np.clip(np.stack(planes * (3 // len(planes)), -1), 0, 255)
    else:
        block = 2 ** (seed // 2 % 6)
        small = random.integers(0, 256, (-(-height // block), -(-width // block), 3))
        values = small.repeat(block, 0).repeat(block, 1)[:height, :width]
    return Image.fromarray(values.astype(np.uint8))
