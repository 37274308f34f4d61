"""Two replicas behind a proxy, replaced one after the other under load."""

import itertools
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from fer_tools.shared import images
from fer_tools.shared.client import free_port, status, wait_for
from fer_tools.shared.load import Load
from fer_tools.shared.project import installed
from fer_tools.shared.report import check, percentile, require

PNG = "image/png"
# A replica needs this: haproxy asks /readyz four times a second.
ENVIRONMENT = {"FER_DRAIN_DELAY": "2s"}

HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  # Without it, a late answer to a check on a busy machine takes a healthy replica out.
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

# nginx does not probe its replicas: a request that one refuses, because it is gone or (503) still loads its model, goes to
# the other one. Sending an image twice does no harm.
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


def haproxy() -> Callable[[str], list[str]]:
    """The command that runs haproxy with a configuration."""
    found = installed("haproxy", "haproxy")
    return lambda file: [found, "-db", "-f", file]


def nginx() -> Callable[[str], list[str]]:
    """The command that runs nginx with a configuration."""
    found = installed("nginx", "nginx-light")
    return lambda file: [found, "-c", file, "-e", "stderr"]


# Each proxy's configuration and command, and which part of the requests goes through it.
PROXIES = {"haproxy": (HAPROXY, haproxy, 1), "nginx": (NGINX, nginx, 10)}


def add_checks(start: Callable[[Any, int | None], Any], threads: int) -> None:
    """Adds a check for each proxy. `start` makes a replica; a context's `requests` are sent at least."""
    for name in PROXIES:

        def behind(context: Any, name: str = name) -> str:
            template, command, part = PROXIES[name]
            return rolling_restart(partial(start, context), template, command(), context.requests // part, threads)

        check(f"traffic: rolling restart behind {name}")(behind)


def rolling_restart(
    start: Callable[[int | None], Any], template: str, command: Callable[[str], list[str]], requests: int, threads: int
) -> str:
    """Replaces both replicas at least once, and goes on until that number of requests was answered, all with 200.

    `start` makes a replica (on that port, if one is given): a context manager with `port`, `wait_ready` and `stop`,
    which returns the seconds it took and fails unless the exit code is 0.
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

        load = Load(port, "/predict", images.png(48, 48), PNG, threads=threads, pause=0.005)
        stack.callback(load.stop)  # if something fails before
        stops: list[float] = []
        for turn in itertools.count():
            time.sleep(1.5)
            if turn >= 2 and load.total() >= requests:
                break
            stops.append(replicas[turn % 2].stop())
            replicas[turn % 2] = stack.enter_context(start(replicas[turn % 2].port))
            replicas[turn % 2].wait_ready()
        load.stop()
        require(proxy.poll() is None, "the proxy ended")
        load.require_good()
        longest = max(load.seconds) * 1000
        return (
            f"{load.total()} requests, none failed, {len(stops)} restarts, p99 {percentile(load.seconds, 0.99) * 1000:.0f} ms, "
            f"longest {longest:.0f} ms, longest stop {max(stops):.2f} s"
        )
