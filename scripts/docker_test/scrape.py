"""A real Prometheus that scrapes a server: the dashboard's queries and the alert rules against what it then knows."""

import json
import re
import subprocess
import urllib.parse
from contextlib import ExitStack
from pathlib import Path
from typing import List

from .docker import free_port, request, status, wait_for
from .report import require
from .rolling import program

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


class Prometheus:
    """A Prometheus in a folder, scraping one port every second until the stack is closed."""

    def __init__(self, stack: ExitStack, folder: str, target: int) -> None:
        found = program("prometheus", "prometheus")
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
        """What its API answers."""
        answer = request(self.port, "GET", f"/api/v1/{path}").json()
        require(answer["status"] == "success", f"{path}: {answer}")
        return answer["data"]

    def query(self, expression: str) -> List[dict]:
        """The samples of an expression now."""
        return self.ask("query?" + urllib.parse.urlencode({"query": expression}))["result"]

    def check_panels(self) -> int:
        """How many queries the dashboard has; fails if one gives no number."""
        found = expressions()
        empty = [
            f"{title}: {expression}"
            for title, expression in found
            if not any(re.fullmatch(r"[-+\d.e]+", sample["value"][1]) for sample in self.query(expression))
        ]
        require(not empty, "panels without data: " + "; ".join(empty))
        return len(found)

    def check_rules(self) -> int:
        """How many rules there are; fails if one cannot be evaluated or fires."""
        rules = [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]
        bad = [rule["name"] for rule in rules if rule["health"] != "ok"]
        require(rules and not bad, f"rules that cannot be evaluated: {bad}")
        firing = [alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"]
        require(not firing, f"alerts of a healthy service: {firing}")
        return len(rules)


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
