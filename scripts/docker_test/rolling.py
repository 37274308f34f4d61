"""Two replicas behind a proxy, replaced one after the other under load."""

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, List, Optional

from . import pictures
from .docker import free_port, status, wait_for
from .load import Load
from .report import Skipped, require

PNG = "image/png"
# How a replica is to be set up: haproxy asks /readyz four times a second.
ENVIRONMENT = {"FER_DRAIN_DELAY": "2s"}

HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  # Without it a check that is answered late, on a busy machine, takes a healthy replica out.
  timeout check 5s
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

# nginx asks nobody for its health: what a replica refuses, because it is gone or (503) still loads its model, goes to
# the other one. Sending a picture twice does no harm.
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
    location / {{ proxy_pass http://replicas; proxy_http_version 1.1; proxy_connect_timeout 1s;
      proxy_next_upstream error timeout http_503 non_idempotent; }}
  }}
}}
"""


def program(name: str, package: str) -> str:
    """Where a program lies, or Skipped with what to install."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise Skipped(f"{name} is not installed (Debian, Ubuntu: sudo apt-get install {package})")
    return found


def haproxy() -> Callable[[str], List[str]]:
    """The command that runs haproxy with a configuration."""
    found = program("haproxy", "haproxy")
    return lambda file: [found, "-db", "-f", file]


def nginx() -> Callable[[str], List[str]]:
    """The command that runs nginx with a configuration."""
    found = program("nginx", "nginx-light")
    return lambda file: [found, "-c", file, "-e", "stderr"]


def rolling_restart(
    start: Callable[[Optional[int]], Any], template: str, command: Callable[[str], List[str]], requests: int = 0, threads: int = 6
) -> str:
    """Both replicas are replaced at least once, and on until so many requests were answered; all must be 200.

    `start` gives a replica (on that port, if one is given): a context manager with `port`, `wait_ready` and `stop`,
    which answers the seconds it took and fails unless the exit code is 0.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder).chmod(0o777)  # nginx's workers are another user
        replicas = [stack.enter_context(start(None)) for _ in range(2)]
        for replica in replicas:
            replica.wait_ready()
        port = free_port()
        file = Path(folder, "conf")
        file.write_text(template.format(port=port, one=replicas[0].port, two=replicas[1].port, folder=folder))
        proxy = subprocess.Popen(command(str(file)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(proxy.wait, 10)
        stack.callback(proxy.terminate)
        wait_for("answer through the proxy", lambda: status(port, "/readyz") == 200, 10)

        load = Load(port, "/predict", pictures.png(48, 48), PNG, threads=threads, pause=0.005)
        stack.callback(load.stop)  # should something fail before
        stops: List[float] = []
        for turn in itertools.count():
            time.sleep(1.5)
            if turn >= 2 and load.total() >= requests:
                break
            stops.append(replicas[turn % 2].stop())
            replicas[turn % 2] = stack.enter_context(start(replicas[turn % 2].port))
            replicas[turn % 2].wait_ready()
        load.stop()
        require(proxy.poll() is None, "the proxy ended")
        bad = {code: count for code, count in load.statuses.items() if code != 200}
        require(not bad and not load.errors, f"{load.total()} answers, among them {bad}: {load.refusals}; errors {load.errors[:5]}")
        longest = max(load.seconds) * 1000
        return (
            f"{load.total()} requests, none failed, {len(stops)} restarts, p99 {load.percentile(0.99) * 1000:.0f} ms, "
            f"longest {longest:.0f} ms, longest stop {max(stops):.2f} s"
        )
