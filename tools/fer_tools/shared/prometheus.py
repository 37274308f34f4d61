"""A real Prometheus that scrapes a server: the dashboard's queries and the alert rules against its data."""

import json
import re
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fer_tools.shared import images
from fer_tools.shared.client import free_port, request, status, wait_for
from fer_tools.shared.load import Load
from fer_tools.shared.project import ROOT, installed
from fer_tools.shared.report import require

FILES = ROOT / "deploy" / "helm" / "fer-serve" / "files"

# As deploy/compose/prometheus.yaml, with a fixed target and short intervals.
PROMETHEUS = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: fer-serve
    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
"""
# The values Grafana would substitute.
VARIABLES = {"$job": "fer-serve", "$instance": ".+", "$route": "/predict|/faces|/v2/.*infer", "$__rate_interval": "5s"}


class Prometheus:
    """A Prometheus in a folder, scraping one port every second until the stack is closed."""

    def __init__(self, stack: ExitStack, folder: str, target: int) -> None:
        found = installed("prometheus", "prometheus")
        self.port = free_port()
        config = Path(folder, "prometheus.yaml")
        config.write_text(PROMETHEUS.format(rules=FILES / "rules.yaml", target=target), encoding="utf-8")
        command = [found, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        wait_for("Prometheus", lambda: status(self.port, "/-/ready") == 200, 30)

    def ask(self, path: str) -> dict:
        """The data of an API response."""
        answer = request(self.port, "GET", f"/api/v1/{path}").json()
        require(answer["status"] == "success", f"{path}: {answer}")
        return answer["data"]

    def query(self, expression: str) -> list[dict]:
        """The samples of an expression now."""
        return self.ask("query?" + urllib.parse.urlencode({"query": expression}))["result"]

    def check_panels(self) -> int:
        """The number of the dashboard's queries; fails if one gives no number."""
        found = expressions()
        empty = [
            f"{title}: {expression}"
            for title, expression in found
            if not any(re.fullmatch(r"[-+\d.e]+", sample["value"][1]) for sample in self.query(expression))
        ]
        require(not empty, "panels without data: " + "; ".join(empty))
        return len(found)

    def check_rules(self) -> int:
        """The number of rules; fails if one cannot be evaluated or fires."""
        rules = [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]
        bad = [rule["name"] for rule in rules if rule["health"] != "ok"]
        require(rules and not bad, f"rules that cannot be evaluated: {bad}")
        firing = [alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"]
        require(not firing, f"alerts of a healthy service: {firing}")
        return len(rules)


@contextmanager
def monitored(port: int, metrics_port: int) -> Iterator[tuple[Prometheus, Load, str]]:
    """Scrapes a server under load for 12 s; then every panel must show data, and no alert may fire."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        prometheus = Prometheus(stack, folder, metrics_port)
        load = Load(port, "/predict", images.png(48, 48), "image/png", threads=4)
        stack.callback(load.stop)
        time.sleep(12)
        queries = prometheus.check_panels()
        load.stop()
        yield prometheus, load, f"{queries} queries, {prometheus.check_rules()} rules"


def expressions() -> list[tuple[str, str]]:
    """Title and expression of every panel's every query, as Prometheus gets them."""
    dashboard = json.loads((FILES / "dashboard.json").read_text(encoding="utf-8"))
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            require("$" not in text, f"{panel['title']}: {text} has a variable without a value")
            found.append((panel["title"], text))
    return found
