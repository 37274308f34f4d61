"""What both services share: the network in eager PyTorch, and Pillow from a file to its input."""

import io
import json
import os
import sys

import numpy
import torch
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compare"))

from run import SIDE, pytorch_network

MODEL = os.environ["FER_MODEL"]
with open(os.path.join(MODEL, "model.json"), encoding="utf-8") as file:
    MANIFEST = json.load(file)
LABELS = MANIFEST["labels"]
INPUT = MANIFEST["input"]
TEMPERATURE = MANIFEST["calibration"]["temperature"]


def network():
    return pytorch_network(MODEL, int(os.environ.get("FER_THREADS", "1")))


def decode(data):
    """Bytes of a picture -> float tensor [1, 48, 48], scaled as the manifest says."""
    picture = Image.open(io.BytesIO(data)).convert("L")
    if picture.size != (SIDE, SIDE):
        picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    x = torch.from_numpy(numpy.asarray(picture, dtype=numpy.float32)[None])
    return (x * INPUT["scale"] - INPUT["mean"]) / INPUT["std"]


def probabilities(model, x):
    """[n, 1, 48, 48] -> [n, 7]"""
    with torch.inference_mode():
        return torch.softmax(model(x) / TEMPERATURE, 1)


def answer(probabilities):
    """One row of probabilities -> what /predict answers."""
    best = int(probabilities.argmax())
    return {
        "emotion": LABELS[best],
        "confidence": float(probabilities[best]),
        "probabilities": {label: float(p) for label, p in zip(LABELS, probabilities)},
    }
