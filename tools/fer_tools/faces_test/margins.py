"""How FER2013's faces are framed: where the detector's box lies in a frame, and which margin agrees best with it."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from fer_tools.faces_test.photos import encoded, post
from fer_tools.shared.server import Server

LABELS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
FACES = 600
# A frame is enlarged before it is sent, and its border pixels are repeated around it.
SIDE, BORDER = 144, 48
MARGINS = [0.8, 0.9, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5]


def frames(file: Path) -> list[tuple[np.ndarray, str]]:
    """Some faces of a CSV and their labels, spread over the whole file."""
    with file.open(newline="", encoding="ascii") as source:
        rows = [{(k or "").strip(): v for k, v in row.items()} for row in csv.DictReader(source)]
    chosen = [rows[i] for i in np.linspace(0, len(rows) - 1, min(FACES, len(rows))).astype(int)]
    return [(np.array(row["pixels"].split(), np.uint8).reshape(48, 48), LABELS[int(row["emotion"])]) for row in chosen]


def around(frame: np.ndarray) -> Image.Image:
    """The frame enlarged, with its outermost pixels repeated."""
    large = np.asarray(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return Image.fromarray(np.pad(large, BORDER, mode="edge"))


def run(server: Server, file: Path) -> int:
    """Prints two tables."""
    found = []
    chosen = frames(file)
    for frame, label in chosen:
        picture = around(frame)
        faces = post(server, "/faces?max_faces=1", encoded(picture)).json()["faces"]
        if faces:
            box = faces[0]["box"]
            found.append((frame, label, picture, box["x"], box["y"], max(box["width"], box["height"])))
    print(f"{len(found)} of {len(chosen)} faces found")
    centre = BORDER + SIDE / 2
    rows = {
        "frame width / box width": [SIDE / side for *_, side in found],
        "frame right of box, box widths": [(centre - x) / side - 0.5 for *_, x, _, side in found],
        "frame below box, box widths": [(centre - y) / side - 0.5 for *_, y, side in found],
    }
    print(f"{'':32}  10 %   25 %   50 %   75 %   90 %")
    for name, values in rows.items():
        print(f"{name:32}" + " ".join(f"{v:6.2f}" for v in np.percentile(values, [10, 25, 50, 75, 90])))

    def judge(image: Image.Image) -> np.ndarray:
        answer = post(server, "/predict", encoded(image)).json()["probabilities"]
        return np.array([answer[label] for label in LABELS])

    whole = np.array([judge(Image.fromarray(frame)) for frame, *_ in found])
    right = np.array([LABELS.index(label) for _, label, *_ in found])
    print(f"\nmargin  total variation  same label  right label\n whole{'':27}{100 * np.mean(whole.argmax(1) == right):11.1f} %")
    for margin in MARGINS:
        answers = []
        for _, _, picture, x, y, side in found:
            reach = side * (margin - 1) / 2
            cut = (x - reach, y - reach, x + side + reach, y + side + reach)
            # Boxes rarely reach beyond the repeated border; where one does, the border is repeated further.
            padded = Image.fromarray(np.pad(np.asarray(picture), SIDE, mode="edge"))
            answers.append(judge(padded.resize((48, 48), Image.Resampling.BILINEAR, box=[v + SIDE for v in cut])))
        given = np.array(answers)
        variation = np.abs(given - whole).sum(1).mean() / 2
        same, good = (100 * np.mean(given.argmax(1) == other) for other in (whole.argmax(1), right))
        print(f"{margin:6.2f} {variation:16.3f} {same:9.1f} % {good:10.1f} %")
    return 0
