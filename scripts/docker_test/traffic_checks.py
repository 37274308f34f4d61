"""Checks with traffic: a rolling restart behind a proxy, and the cost of the container itself."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, List

from . import pictures
from .docker import Container, docker, free_port, status, wait_for
from .load import Load
from .report import Skipped, check, require

LEAST_SHARE = 0.95  # of the bare program's throughput
ROUNDS = 7
PNG = "image/png"

HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend all
  bind 127.0.0.1:{port}
  default_backend replicas
backend replicas
  balance leastconn
  option httpchk GET /readyz
  default-server check inter 250ms fall 1 rise 2
  server one 127.0.0.1:{one}
  server two 127.0.0.1:{two}
"""

# Without active health checks: a replica that accepts no more connections is left out, and what could not be
# sent to it goes to the other one.
NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 20m;
  upstream replicas {{
    least_conn;
    server 127.0.0.1:{one} max_fails=1 fail_timeout=1s;
    server 127.0.0.1:{two} max_fails=1 fail_timeout=1s;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://replicas; proxy_http_version 1.1; proxy_connect_timeout 1s; }}
  }}
}}
"""


def program(name: str, package: str) -> str:
    """Where a program lies, or Skipped with what to install."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise Skipped(f"{name} is not installed (Debian, Ubuntu: sudo apt-get install {package})")
    return found


def rolling_restart(context: object, template: str, command: Callable[[str], List[str]]) -> str:
    """Two replicas behind a proxy, replaced one after the other under load; every answer must be 200."""
    env = {"FER_DRAIN_DELAY": "2s"}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder).chmod(0o777)  # nginx's workers are another user
        replicas = [stack.enter_context(Container(context.image, env=env)) for _ in range(2)]  # type: ignore[attr-defined]
        for replica in replicas:
            replica.wait_ready()
        port = free_port()
        file = Path(folder, "conf")
        file.write_text(template.format(port=port, one=replicas[0].port, two=replicas[1].port, folder=folder))
        proxy = subprocess.Popen(command(str(file)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        stack.callback(proxy.wait, 10)
        stack.callback(proxy.terminate)
        wait_for("answer through the proxy", lambda: status(port, "/readyz") == 200, 10)

        load = Load(port, "/predict", pictures.png(48, 48), PNG, threads=6, pause=0.005)
        stops = []
        for replica in replicas:
            time.sleep(1.5)
            began = time.monotonic()
            docker("stop", "--time=30", replica.id)
            stops.append(time.monotonic() - began)
            require(replica.state()["ExitCode"] == 0, f"exit code {replica.state()['ExitCode']}")
            again = stack.enter_context(Container(context.image, port=replica.port, env=env))  # type: ignore[attr-defined]
            again.wait_ready()
        time.sleep(1.5)
        load.stop()
        require(proxy.poll() is None, "the proxy ended")
        bad = {code: count for code, count in load.statuses.items() if code != 200}
        require(not bad and not load.errors, f"{load.total()} answers, among them {bad}; errors {load.errors[:5]}")
        longest = max(load.seconds) * 1000
        return (
            f"{load.total()} requests, none failed, p99 {load.percentile(0.99) * 1000:.0f} ms, longest {longest:.0f} ms, "
            f"stops {', '.join(f'{took:.2f} s' for took in stops)}"
        )


@check("traffic: rolling restart behind haproxy")
def behind_haproxy(context: object) -> str:
    haproxy = program("haproxy", "haproxy")
    return rolling_restart(context, HAPROXY, lambda file: [haproxy, "-db", "-f", file])


@check("traffic: rolling restart behind nginx")
def behind_nginx(context: object) -> str:
    nginx = program("nginx", "nginx-light")
    return rolling_restart(context, NGINX, lambda file: [nginx, "-c", file, "-e", "stderr"])


def requests_a_second(wrk: str, script: str, port: int, seconds: int) -> float:
    """What wrk gets out of a server with 16 connections."""
    command = [wrk, "-t1", "-c16", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{port}/predict"]
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    require("Non-2xx" not in text and "Socket errors" not in text, f"wrk saw errors:\n{text}")
    rate = re.search(r"Requests/sec:\s*([\d.]+)", text)
    require(rate, f"wrk said:\n{text}")
    return float(rate.group(1))  # type: ignore[union-attr]


@check("traffic: throughput beside the bare program's")
def throughput(context: object) -> str:
    """The same files, once in the container and once as a plain process; turns alternate, best turns count."""
    wrk = program("wrk", "wrk")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        boxed = stack.enter_context(Container(context.image))  # type: ignore[attr-defined]
        docker("cp", f"{boxed.id}:/app", folder)
        app = Path(folder, "app")
        works = subprocess.run([app / "bin" / "fer-serve", "--version"], capture_output=True, check=False)
        if works.returncode != 0:
            raise Skipped("the image's program does not run on this system by itself: " + works.stderr.decode()[:200])
        port = free_port()
        environment = {**os.environ, "FER_MODEL": str(app / "model"), "FER_LISTEN": f"127.0.0.1:{port}"}
        bare = subprocess.Popen([app / "bin" / "fer-serve"], env=environment, stderr=subprocess.DEVNULL)
        stack.callback(bare.wait, 30)
        stack.callback(bare.kill)
        boxed.wait_ready()
        wait_for("bare server", lambda: status(port, "/readyz") == 200, 20)

        Path(folder, "face.png").write_bytes(pictures.png(48, 48))
        script = Path(folder, "post.lua")
        script.write_text(
            f'local f = io.open("{folder}/face.png", "rb")\n'
            'wrk.method = "POST"\nwrk.body = f:read("*a")\nwrk.headers["content-type"] = "image/png"\n'
        )
        rates: dict = {"container": [], "bare": []}
        for turn in range(ROUNDS):
            pair = [("container", boxed.port), ("bare", port)]
            for name, where in pair if turn % 2 else reversed(pair):
                rates[name].append(requests_a_second(wrk, str(script), where, 3))
        best = {name: max(values) for name, values in rates.items()}
        share = best["container"] / best["bare"]
        text = f"{best['container']:.0f} in the container, {best['bare']:.0f} requests/s bare: {share:.1%}"
        require(share >= LEAST_SHARE, f"{text}; at least {LEAST_SHARE:.0%} are wanted (all turns: {rates})")
        return text
