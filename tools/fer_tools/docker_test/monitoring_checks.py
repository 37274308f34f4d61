"""Checks that a real Prometheus reads the service, and that every panel of the dashboard then shows data."""

from fer_tools.docker_test import Context
from fer_tools.docker_test.container import Container
from fer_tools.shared import prometheus
from fer_tools.shared.client import request
from fer_tools.shared.report import check


@check("monitoring: Prometheus, alert rules, every panel of the dashboard")
def monitored(context: Context) -> str:
    with Container(context.image) as server:
        server.wait_ready()
        with prometheus.monitored(server.port, server.port) as (scraper, _, text):
            samples = scraper.query("scrape_samples_scraped")[0]["value"][1]
        size = len(request(server.port, "GET", "/metrics").body)
        return f"{text}, {samples} samples and {size / 1000:.1f} kB a scrape"
