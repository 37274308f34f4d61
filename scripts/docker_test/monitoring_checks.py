"""Checks that a real Prometheus reads the service, and that every panel of the dashboard then shows something."""

import tempfile
import time
from contextlib import ExitStack

from . import pictures
from .docker import Container, request
from .load import Load
from .report import check
from .scrape import Prometheus


@check("monitoring: Prometheus, alert rules, every panel of the dashboard")
def monitored(context: object) -> str:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(Container(context.image))  # type: ignore[attr-defined]
        server.wait_ready()
        prometheus = Prometheus(stack, folder, server.port)
        load = Load(server.port, "/predict", pictures.png(48, 48), "image/png", threads=4)
        stack.callback(load.stop)
        time.sleep(12)
        queries = prometheus.check_panels()
        load.stop()
        rules = prometheus.check_rules()
        samples = prometheus.query("scrape_samples_scraped")[0]["value"][1]
        size = len(request(server.port, "GET", "/metrics").body)
        return f"{queries} queries, {rules} rules, {samples} samples and {size / 1000:.1f} kB a scrape"
