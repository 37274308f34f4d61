"""Checks of single containers: the main job, limits, health, stopping, mistakes."""

import base64
import itertools
import json
import os
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from fer_tools.docker_test import Context
from fer_tools.docker_test.container import LOCKED_DOWN, Container, docker
from fer_tools.shared import images
from fer_tools.shared.client import Answer, request, status, wait_for
from fer_tools.shared.load import Load
from fer_tools.shared.report import check, require

START_SECONDS = 3.0
PNG = "image/png"


def prediction(answer: Answer) -> dict:
    """The prediction in a response, checked against the contract."""
    require(answer.status == 200, f"status {answer.status} instead of 200: {answer.body[:300]!r}")
    found = answer.json()
    probabilities = found["probabilities"]
    require(
        list(probabilities) == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"],
        f"labels are {list(probabilities)}",
    )
    require(abs(sum(probabilities.values()) - 1) <= 1e-4, f"probabilities sum to {sum(probabilities.values())}")
    require(found["emotion"] == max(probabilities, key=probabilities.get), "emotion is not the likeliest label")
    return found


def main_job(port: int) -> None:
    """Every form of request to /predict, one broken image, /faces, and the routes around them."""
    first, second = images.png(48, 48), images.png(640, 480, 1.0)
    raw = prediction(request(port, "POST", "/predict", first, PNG))
    coded = [base64.b64encode(image).decode() for image in (first, second)]
    single = request(port, "POST", "/predict", json.dumps({"image": coded[0]}).encode(), "application/json")
    require(prediction(single)["probabilities"] == raw["probabilities"], "base64 and raw answers differ")
    several = request(port, "POST", "/predict", json.dumps({"images": coded}).encode(), "application/json")
    require(several.status == 200 and len(several.json()["predictions"]) == 2, f"two images: {several.body[:200]!r}")
    form = b"".join(
        b'--x\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + image + b"\r\n"
        for image in (first, second)
    )
    parts = request(port, "POST", "/predict", form + b"--x--\r\n", "multipart/form-data; boundary=x")
    require(parts.status == 200 and len(parts.json()["predictions"]) == 2, f"multipart: {parts.body[:200]!r}")
    wrong = request(port, "POST", "/predict", b"this is no image", PNG)
    require(wrong.status in (415, 422), f"no image: status {wrong.status}")
    require(wrong.headers["content-type"] == "application/problem+json", f"no problem: {wrong.headers}")
    faces = request(port, "POST", "/faces", second, PNG)
    require(faces.status == 200 and faces.json()["faces"] == [], f"/faces of an image without one: {faces.body[:300]!r}")
    page = request(port, "GET", "/")
    require(page.status == 200 and page.headers["content-type"].startswith("text/html"), f"/: {page.status}")
    model = request(port, "GET", "/model").json()
    require(len(model["labels"]) == 7, f"/model: {model}")
    metrics = request(port, "GET", "/metrics").body.decode()
    require("fer_predictions_total{" in metrics and "fer_queue_depth " in metrics, "metrics are missing")


def limits(context: Context, cpus: int, memory: str) -> str:
    """The main job and a burst of load under a limit on processors and memory."""
    env = {"FER_MAX_BUFFERED": "64Mi", "FER_MAX_PIXELS": "4000000", "FER_DRAIN_DELAY": "0s"}
    swap = f"--memory-swap={memory}"
    with Container(context.image, f"--cpus={cpus}", f"--memory={memory}", swap, env=env) as server:
        ready = server.wait_ready()
        main_job(server.port)
        load = Load(server.port, "/predict", images.png(48, 48), PNG, threads=8)
        time.sleep(4)
        load.stop()
        peak, state = server.memory_peak(), server.state()
        require(state["Running"] and not state["OOMKilled"], f"it ended under load:\n{server.logs()[-2000:]}")
        require(set(load.statuses) == {200}, f"statuses under load: {load.statuses} {load.errors[:3]}")
        took = server.stop()
        held = f", {peak / 2**20:.0f} MiB at most" if peak else ""
        return f"ready after {ready:.2f} s, {load.rate():.0f} requests/s{held}, stopped in {took:.2f} s"


for cpus, memory in itertools.product((1, 2), ("512m", "1g")):
    check(f"run: --cpus={cpus} --memory={memory}")(partial(limits, cpus=cpus, memory=memory))


@check("run: start to ready")
def start_up(context: Context) -> str:
    times = []
    for _ in range(5):
        with Container(context.image, env={"FER_DRAIN_DELAY": "0s"}) as server:
            times.append(server.wait_ready())
    times.sort()
    text = f"best {times[0]:.2f} s, median {times[2]:.2f} s, worst {times[4]:.2f} s from `docker run`"
    require(times[2] < START_SECONDS, f"{text}; at most {START_SECONDS:g} s are allowed")
    return text


@check("run: the largest images at once, 2 CPUs, 1 GiB")
def largest_images(context: Context) -> str:
    """With the limits that compose.yaml sets for 1 GiB, four clients send the images that take most memory."""
    env = {"FER_MAX_BUFFERED": "128Mi", "FER_MAX_PIXELS": "13000000", "FER_DRAIN_DELAY": "0s"}
    image, larger = images.deep_png(4096, 3072), images.deep_png(4096, 3200)
    with Container(context.image, "--cpus=2", "--memory=1g", "--memory-swap=1g", env=env) as server:
        server.wait_ready()
        refused = request(server.port, "POST", "/predict", larger, PNG)
        require(refused.status == 422, f"an image over the limit: {refused.status}")
        load = Load(server.port, "/predict", image, PNG, threads=4, timeout=60)
        time.sleep(6)
        load.stop()
        peak, state = server.memory_peak(), server.state()
        require(state["Running"] and not state["OOMKilled"], f"it ended:\n{server.logs()[-2000:]}")
        require(load.statuses[200] > 0 and set(load.statuses) == {200}, f"statuses: {load.statuses} {load.errors[:3]}")
        held = f", {peak / 2**20:.0f} MiB at most" if peak else ""
        return f"{load.total()} images of 4096×3072 pixels, 16-bit with alpha{held}"


@check("run: user, capabilities, file system")
def confined(context: Context) -> str:
    with Container(context.image) as server:
        server.wait_ready()
        main_job(server.port)
        process = server.process_status()
        require(process["Uid"].split()[0] == "65532", f"it runs as {process['Uid']}")
        require(int(process["CapEff"], 16) == 0, f"capabilities {process['CapEff']}")
        require(process["NoNewPrivs"] == "1", "it may gain privileges")
        require(server.inspect()["HostConfig"]["ReadonlyRootfs"], "the file system can be written to")
        changed = docker("diff", server.id).split("\n")
        written = [line for line in changed if line.startswith(("A", "C")) and not line.endswith(("/etc", "/dev"))]
        # Docker itself puts hosts, hostname and resolv.conf there, and the mount points of /dev, /proc and /sys.
        own = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/dev", "/proc", "/sys", "/.dockerenv")
        stray = [line for line in written if not line[2:].startswith(own)]
        require(not stray, f"it wrote {stray}")
    # Without Docker's read-only switch it writes nothing either.
    with Container(context.image, "--read-only=false") as server:
        server.wait_ready()
        main_job(server.port)
        changed = [line for line in docker("diff", server.id).split("\n") if line and "/etc" not in line]
        stray = [line for line in changed if not line[2:].startswith(own)]
        require(not stray, f"it wrote {stray}")
    return "uid 65532, no capability, no file written"


@check("run: health transitions")
def health(context: Context) -> str:
    quick = ("--health-interval=1s", "--health-timeout=1s", "--health-retries=2", "--health-start-period=20s")
    with Container(context.image, *quick, env={"FER_DRAIN_DELAY": "3s"}) as server:
        require(server.health() == "starting", f"at first it is {server.health()}")
        up = wait_for("health `healthy`", lambda: server.health() == "healthy", 20)
        server.signal("STOP")
        down = wait_for("health `unhealthy` of a stopped process", lambda: server.health() == "unhealthy", 20)
        server.signal("CONT")
        again = wait_for("health `healthy` again", lambda: server.health() == "healthy", 20)
        server.signal("TERM")
        wait_for("503 from /readyz while draining", lambda: status(server.port, "/readyz") == 503, 2)
        require(status(server.port, "/livez") == 200, "/livez is not 200 while draining")
        prediction(request(server.port, "POST", "/predict", images.png(48, 48), PNG))
        wait_for("health `unhealthy` while draining", lambda: server.health() == "unhealthy", 3)
        server.wait_end(10)
        require(server.state()["ExitCode"] == 0, f"exit code {server.state()['ExitCode']}")
    return f"healthy {up:.1f} s, unhealthy {down:.1f} s after SIGSTOP, healthy {again:.1f} s after SIGCONT, drained"


@check("run: stop time")
def stop_time(context: Context) -> str:
    texts = []
    for delay in ("0s", "5s"):
        with Container(context.image, env={"FER_DRAIN_DELAY": delay}) as server:
            server.wait_ready()
            load = Load(server.port, "/predict", images.png(48, 48), PNG, threads=4)
            time.sleep(1)
            took = server.stop()
            load.stop()
            most = float(delay[:-1]) + 2
            require(took < most, f"with a drain delay of {delay} it took {took:.2f} s")
            require(set(load.statuses) <= {200, 503}, f"statuses: {load.statuses}")
            texts.append(f"{took:.2f} s with a drain delay of {delay}")
    return ", ".join(texts) + ", under load"


@check("run: mistakes end it at once, with a message")
def mistakes(context: Context) -> str:
    with tempfile.TemporaryDirectory() as empty:
        Path(empty).chmod(0o755)
        with Container(context.image, f"--volume={empty}:/app/model:ro") as server:
            server.wait_end(20)
            require(server.state()["ExitCode"] not in (0, 137, 139), f"exit code {server.state()['ExitCode']}")
            require("model" in server.logs(), f"the message does not name the model:\n{server.logs()}")
    with Container(context.image, args=["--workers=none"]) as server:
        server.wait_end(20)
        require(server.state()["ExitCode"] == 2 and "--workers" in server.logs(), server.logs())
    return "an empty model folder, a bad flag"


@check("run: predict and the training program")
def other_programs(context: Context) -> str:
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder)
        shared.chmod(0o755)
        (shared / "face.png").write_bytes(images.png(96, 96))
        (shared / "faces.csv").write_text(images.training_csv(28), encoding="ascii")
        flags = ["run", "--rm", *LOCKED_DOWN, f"--volume={shared}:/data:ro"]
        image = context.image
        answer = json.loads(docker(*flags, image, "predict", "/data/face.png").splitlines()[0])
        require(len(answer["probabilities"]) == 7, f"predict: {answer}")
        train = [*flags, "--entrypoint=/app/bin/fer-train", image]
        scores = json.loads(docker(*train, "eval", "--model", "/app/model", "--data", "/data/faces.csv", "--json"))
        require(scores["rows"] == 28 and len(scores["confusion"]) == 7, f"eval: {scores}")
        code = subprocess.run(
            ["docker", *train, "fit", "--train", "/data/none.csv", "--out", "/tmp/x"], capture_output=True, check=False
        )
        require(code.returncode != 0 and b"none.csv" in code.stderr, f"a missing CSV: {code.stderr!r}")
    return "predict, eval, fit with a missing file"


@check("run: train in one container, serve the result in another")
def train_and_serve(context: Context) -> str:
    image = context.image
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder)
        (shared / "runs").mkdir()
        (shared / "faces.csv").write_text(images.training_csv(140), encoding="ascii")
        # As compose.yaml does it: the caller's own user, so that the files written belong to the caller.
        mounts = [f"--volume={shared}/faces.csv:/data/train.csv:ro", f"--volume={shared}/runs:/runs"]
        flags = ["run", "--rm", *LOCKED_DOWN, *mounts, f"--user={os.getuid()}:{os.getgid()}"]
        fit = ["fit", "--train", "/data/train.csv", "--out", "/runs", "--recipe", "single", "--epochs", "1"]
        fit += ["--batch-size", "14"]
        docker(*flags, "--entrypoint=/app/bin/fer-train", image, *fit, "--model-name", "drawn", timeout=300)
        model = shared / "runs" / "model"
        require((model / "model.json").exists(), f"fit left {sorted(p.name for p in (shared / 'runs').iterdir())}")
        for path in (shared, model):
            path.chmod(0o755)
        with Container(image, f"--volume={model}:/app/model:ro") as server:
            server.wait_ready()
            found = prediction(request(server.port, "POST", "/predict", images.png(48, 48), PNG))
            require(found["model"]["name"] == "drawn", f"the model is {found['model']}")
    return "one epoch of 140 rows, then /predict by that model"
