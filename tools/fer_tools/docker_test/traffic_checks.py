"""Checks with traffic: rolling restarts behind proxies, and the cost of the container itself."""

import os
import re
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from fer_tools.docker_test import Context
from fer_tools.docker_test.container import Container, docker
from fer_tools.shared import images, rolling
from fer_tools.shared.client import free_port
from fer_tools.shared.project import installed
from fer_tools.shared.report import Failed, Skipped, check, require
from fer_tools.shared.server import Service

LEAST_SHARE = 0.95  # of the bare program's throughput
ROUNDS = 7


def replica(context: Context, port: int | None) -> Container:
    """One of two that are restarted in turn."""
    return Container(context.image, env=rolling.ENVIRONMENT, port=port)


rolling.add_checks(replica, threads=6)


def processor_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def turn(wrk: str, script: str, port: int, pid: int) -> tuple[float, int, float]:
    """With 16 connections: requests a second, requests, processor seconds."""
    before = processor_seconds(pid)
    command = [wrk, "-t1", "-c16", "-d3s", "--timeout=30s", "-s", script, f"http://127.0.0.1:{port}/predict"]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    require("Non-2xx" not in text and "Socket errors" not in text, f"wrk saw errors:\n{text}")
    count, rate = re.search(r"(\d+) requests in", text), re.search(r"Requests/sec:\s*([\d.]+)", text)
    if not (count and rate):
        raise Failed(f"wrk printed:\n{text}")
    return float(rate.group(1)), int(count.group(1)), processor_seconds(pid) - before


@check("traffic: throughput against the bare program's")
def throughput(context: Context) -> str:
    """The same files, in turns in the container and as a plain process.

    The processor time of a request limits the rate of a busy server, and unlike the rate itself it hardly changes with
    what else runs on the machine.
    """
    wrk = installed("wrk", "wrk")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        boxed = stack.enter_context(Container(context.image))
        docker("cp", f"{boxed.id}:/app", folder)
        app = Path(folder, "app")
        works = subprocess.run([app / "bin" / "fer-serve", "--version"], capture_output=True, check=False)
        if works.returncode != 0:
            raise Skipped("the image's program does not run on this system by itself: " + works.stderr.decode()[:200])
        port = free_port()
        environment = {"FER_MODEL": str(app / "model"), "FER_LISTEN": f"127.0.0.1:{port}"}
        bare = stack.enter_context(Service([str(app / "bin" / "fer-serve")], port, "/readyz", environment))
        boxed.wait_ready()
        bare.wait_ready(20)

        Path(folder, "face.png").write_bytes(images.png(48, 48))
        script = Path(folder, "post.lua")
        script.write_text(
            f'local f = io.open("{folder}/face.png", "rb")\n'
            'wrk.method = "POST"\nwrk.body = f:read("*a")\nwrk.headers["content-type"] = "image/png"\n'
        )
        pair = [("container", boxed.port, boxed.state()["Pid"]), ("bare", port, bare.child.pid)]
        turns: dict = {"container": [], "bare": []}
        for number in range(ROUNDS):
            for name, where, pid in pair if number % 2 else reversed(pair):
                turns[name].append(turn(wrk, str(script), where, pid))
        rates = {name: max(rate for rate, _, _ in values) for name, values in turns.items()}
        costs = {name: sum(seconds for _, _, seconds in values) / sum(count for _, count, _ in values) for name, values in turns.items()}
        share = costs["bare"] / costs["container"]
        text = (
            f"{costs['container'] * 1000:.2f} ms of processor time a request in the container, "
            f"{costs['bare'] * 1000:.2f} ms bare: {share:.1%} of its throughput "
            f"(at best {rates['container']:.0f} and {rates['bare']:.0f} requests/s here and now)"
        )
        require(share >= LEAST_SHARE, f"{text}; at least {LEAST_SHARE:.0%} are required")
        return text
