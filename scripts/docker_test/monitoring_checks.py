"""Checks that a real Prometheus reads the service, and that every panel of the dashboard then shows something."""

import json
import re
import subprocess
import tempfile
import time
import urllib.parse
from contextlib import ExitStack
from pathlib import Path

from . import pictures
from .docker import Container, free_port, request, status, wait_for
from .load import Load
from .report import check, require
from .traffic_checks import program

FILES = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "fer-serve" / "files"

# As deploy/compose/prometheus.yaml, with a fixed target and no patience.
PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: fer-serve
    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
"""
# What Grafana would put in.
VARIABLES = {"$job": "fer-serve", "$instance": ".+", "$route": "/predict|/faces|/v2/.*infer", "$__rate_interval": "5s"}


def ask(port: int, path: str) -> dict:
    """What Prometheus' API answers."""
    answer = request(port, "GET", f"/api/v1/{path}").json()
    require(answer["status"] == "success", f"{path}: {answer}")
    return answer["data"]


def expressions() -> list:
    """Title and expression of every panel's every query, as Prometheus would get them."""
    dashboard = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            require("$" not in text, f"{panel['title']}: {text} has a variable that nobody sets")
            found.append((panel["title"], text))
    return found


@check("monitoring: Prometheus, alert rules, every panel of the dashboard")
def monitored(context: object) -> str:
    prometheus = program("prometheus", "prometheus")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(Container(context.image))  # type: ignore[attr-defined]
        server.wait_ready()
        port = free_port()
        config = Path(folder, "prometheus.yaml")
        config.write_text(PROMETHEUS.format(rules=FILES / "rules.yaml", target=server.port), encoding="utf-8")
        command = [prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        wait_for("Prometheus", lambda: status(port, "/-/ready") == 200, 20)

        load = Load(server.port, "/predict", pictures.png(48, 48), "image/png", threads=4)
        time.sleep(12)
        empty = []
        for title, expression in expressions():
            result = ask(port, "query?" + urllib.parse.urlencode({"query": expression}))["result"]
            if not any(re.fullmatch(r"[-+\d.e]+", sample["value"][1]) for sample in result):
                empty.append(f"{title}: {expression}")
        load.stop()
        require(not empty, "panels without data: " + "; ".join(empty))
        rules = [rule for group in ask(port, "rules")["groups"] for rule in group["rules"]]
        bad = [rule["name"] for rule in rules if rule["health"] != "ok"]
        require(rules and not bad, f"rules that cannot be evaluated: {bad}")
        firing = [alert["labels"]["alertname"] for alert in ask(port, "alerts")["alerts"] if alert["state"] == "firing"]
        require(not firing, f"alerts of a healthy service: {firing}")
        samples = ask(port, "query?query=scrape_samples_scraped")["result"][0]["value"][1]
        size = len(request(server.port, "GET", "/metrics").body)
        return f"{len(expressions())} queries, {len(rules)} rules, {samples} samples and {size / 1000:.1f} kB a scrape"
