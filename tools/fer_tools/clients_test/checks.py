"""The checks: tritonclient, perf_analyzer, the examples of docs/clients.md."""

import base64
import csv
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy
import tritonclient.http
from tritonclient.utils import InferenceServerException

from fer_tools.clients_test.perf_analyzer import perf_analyzer, run
from fer_tools.shared import images
from fer_tools.shared.client import request
from fer_tools.shared.project import ROOT, rustface_photo
from fer_tools.shared.report import Failed, Skipped, check, require
from fer_tools.shared.server import Server

# The two ways must agree to this.
CLOSE = 1e-6
COUNTS = (1, 64)


class Context(NamedTuple):
    """What the checks share."""

    server: Server

    def client(self) -> tritonclient.http.InferenceServerClient:
        """A client of the protocol."""
        return tritonclient.http.InferenceServerClient(f"127.0.0.1:{self.server.port}", network_timeout=600, connection_timeout=600)

    def model(self) -> dict:
        """What GET /model says."""
        return request(self.server.port, "GET", "/model").json()

    def predict(self, files: list[bytes]) -> numpy.ndarray:
        """The probabilities that /predict gives, a row for each image."""
        body = json.dumps({"images": [base64.b64encode(file).decode() for file in files]}).encode()
        answer = request(self.server.port, "POST", "/predict", body, "application/json", timeout=600)
        require(answer.status == 200, f"/predict: {answer.status} {answer.body!r}")
        return numpy.array([list(entry["probabilities"].values()) for entry in answer.json()["predictions"]])


def refused(call: Callable, status: str) -> str:
    """The message of the exception that the client must raise with this status."""
    try:
        call()
    except InferenceServerException as error:
        require(error.status() == status, f"{error!r} has status {error.status()}, not {status}")
        require(error.message(), f"{error!r} has no message")
        return error.message()
    raise Failed(f"nothing was rejected; {status} was expected")


@check("tritonclient: metadata, ready, errors")
def metadata(context: Context) -> str:
    """What server and model report, and how a client sees an error."""
    client, about = context.client(), context.model()
    name, version = about["name"], about["version"]
    require(client.is_server_live() and client.is_server_ready(), "the server is not ready")
    require("binary_tensor_data" in client.get_server_metadata()["extensions"], "no binary tensor data extension")
    for which in ["", version]:
        require(client.is_model_ready(name, which), f"version {which!r} is not ready")
        card = client.get_model_metadata(name, which)
        require((card["name"], card["versions"]) == (name, [version]), f"the metadata are {card}")
        require([tensor["name"] for tensor in card["inputs"] + card["outputs"]] == ["image", "probabilities"], f"the tensors are {card}")
        require(client.get_model_config(name, which)["name"] == name, "the configuration is another model's")
    require(not client.is_model_ready(name + "x"), "another model is ready")
    message = refused(lambda: client.get_model_metadata(name + "x"), "404")
    require(name in message, f"{message!r} does not name the model")
    broken = tritonclient.http.InferInput("image", [1], "BYTES")
    broken.set_data_from_numpy(numpy.array([images.png(48, 48)[:100]], dtype=numpy.object_))
    refused(lambda: client.infer(name, [broken]), "422")
    turned = tritonclient.http.InferInput("image", [1, 48, 48, 1], "UINT8")
    turned.set_data_from_numpy(numpy.zeros((1, 48, 48, 1), numpy.uint8))
    message = refused(lambda: client.infer(name, [turned]), "400")
    require("[N,1,48,48]" in message, f"{message!r} does not say what is expected")
    return f"{name} version {version}; 404, 422 and 400 as exceptions with the detail"


@check("tritonclient: the same probabilities as /predict")
def inference(context: Context) -> str:
    """JSON and binary, in and out, one image and 64, all three types."""
    client, name, worst, runs = context.client(), context.model()["name"], 0.0, 0
    for count in COUNTS:
        phases = [0.3 * i for i in range(count)]
        files = [images.png(48, 48, phase) for phase in phases]
        want = context.predict(files)
        gray = numpy.frombuffer(b"".join(images.gray(48, 48, phase) for phase in phases), numpy.uint8).reshape(count, 1, 48, 48)
        for binary_in in (True, False):
            elements = files if binary_in else [base64.b64encode(file) for file in files]
            for datatype, values in [
                ("BYTES", numpy.array(elements, dtype=numpy.object_)),
                ("UINT8", gray),
                ("FP32", gray.astype(numpy.float32)),
            ]:
                for binary_out in (True, False):
                    image = tritonclient.http.InferInput("image", list(values.shape), datatype)
                    image.set_data_from_numpy(values, binary_data=binary_in)
                    output = tritonclient.http.InferRequestedOutput("probabilities", binary_data=binary_out)
                    result = client.infer(name, [image], outputs=[output], request_id=f"run-{runs}")
                    require(result.get_response()["id"] == f"run-{runs}", "another id came back")
                    got = result.as_numpy("probabilities")
                    require(got.shape == (count, 7) and got.dtype == numpy.float32, f"{got.dtype} {got.shape}")
                    worst, runs = max(worst, float(abs(got - want).max())), runs + 1
    require(worst <= CLOSE, f"the probabilities differ by {worst:g}")
    return f"{runs} ways of asking for 1 and 64 images, largest difference {worst:.1e}"


@check("perf_analyzer: a whole run")
def performance(context: Context) -> str:
    """It measures one image and eight a request, several requests at a time, and none fails."""
    command, name, figures = perf_analyzer(), context.model()["name"], []
    with tempfile.TemporaryDirectory() as work:
        for count, concurrency in [(1, 4), (8, 2)]:
            files = [images.png(48, 48, 0.3 * i) for i in range(count)]
            elements = b"".join(len(file).to_bytes(4, "little") + file for file in files)
            tensor = {"b64": base64.b64encode(elements).decode(), "shape": [count]}
            (Path(work) / "input.json").write_text(json.dumps({"data": [{"image": tensor}]}), encoding="ascii")
            options = {
                "-m": name, "-u": f"127.0.0.1:{context.server.port}", "-i": "http", "-f": "figures.csv",
                "--input-data": "input.json", "--shape": f"image:{count}",
                "--concurrency-range": concurrency, "--request-count": 200,
            }  # fmt: skip
            text = run([*command, *(str(part) for option in options.items() for part in option)], cwd=Path(work))
            require("Throughput" in text and "error" not in text.lower(), f"perf_analyzer says:\n{text}")
            with open(Path(work) / "figures.csv", encoding="ascii", newline="") as file:
                (row,) = csv.DictReader(file)
            require(float(row["Inferences/Second"]) > 0, f"the figures are {row}")
            figures.append(f"{count} a request, {concurrency} at a time: {float(row['Inferences/Second']):.0f} requests/s")
    return "; ".join(figures)


RUNNERS = {"python": ("python", ".py"), "javascript": ("node", ".mjs"), "sh": ("sh", ".sh")}


@check("docs/clients.md: every example")
def examples(context: Context) -> str:
    """Each is run as it stands, except for the server's address, and must print what the API answers."""
    text = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for tool in ["curl", "node"]:
        if not shutil.which(tool):
            raise Skipped(f"{tool} is not installed")
    kinds = {(language, route) for language, code in blocks for route in ("/predict", "/faces") if f"8080{route}" in code}
    require(len(kinds) == 6, f"an example of /predict and one of /faces in each language are expected; there are {sorted(kinds)}")
    require(any("tritonclient" in code for _, code in blocks), "an example with tritonclient is expected")
    face, photo, port = images.png(48, 48, 1.0), rustface_photo().read_bytes(), context.server.port
    one = request(port, "POST", "/predict", face, timeout=600).json()
    other = request(port, "POST", "/predict", photo, timeout=600).json()
    found = request(port, "POST", "/faces", photo, timeout=600).json()
    require(len(found["faces"]) > 10, f"{len(found['faces'])} faces in the photo")
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "face.png").write_bytes(face)
        (Path(work) / "photo.png").write_bytes(photo)
        for number, (language, code) in enumerate(blocks, 1):
            require(language in RUNNERS, f"example {number} is in {language}, which this check cannot run")
            program, ending = RUNNERS[language]
            program = sys.executable if program == "python" else program
            script = Path(work) / f"example{ending}"
            script.write_text(code.replace("localhost:8080", f"127.0.0.1:{port}"), encoding="utf-8")
            printed = run([program, str(script)], cwd=Path(work))
            try:
                compare(code, language, printed, one, other, found)
            except Exception as error:
                raise Failed(f"example {number} ({language}): {error!r}\n{printed[:500]}") from error
    return f"{len(blocks)} examples, {len(found['faces'])} faces in the photo"


def compare(code: str, language: str, printed: str, one: dict, other: dict, found: dict) -> None:
    """Compares what an example printed with what the API answers."""
    if "/faces" in code:
        if language == "sh":
            require(json.loads(printed) == found, "another answer")
            return
        lines = printed.splitlines()
        require(len(lines) == len(found["faces"]), f"{len(lines)} lines for {len(found['faces'])} faces")
        for line, face in zip(lines, found["faces"]):
            x, y, width, height, emotion, confidence = line.split()
            require(face["box"] == {"x": int(x), "y": int(y), "width": int(width), "height": int(height)}, line)
            require(face["emotion"] == emotion and abs(face["confidence"] - float(confidence)) < CLOSE, line)
    elif "/v2/" in code:
        (output,) = json.loads(printed)["outputs"]
        want = one["probabilities"].values()
        require(max(abs(a - b) for a, b in zip(output["data"], want)) < CLOSE and len(output["data"]) == 7, "other probabilities")
    elif "input.json" in code:
        require(printed == "", "nothing was to be printed")
    elif "predictions" in code:
        require(printed.splitlines() == [f"face.png {one['emotion']}", f"photo.png {other['emotion']}"], "other expressions")
    elif language == "sh":
        require(json.loads(printed) == one, "another answer")
    else:
        emotion, confidence = printed.split()
        require(emotion == one["emotion"] and abs(float(confidence) - one["confidence"]) < CLOSE, "another answer")
