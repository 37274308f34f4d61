"""Check everything under deploy/, compose.yaml and the workflow (what `make deploy-test` runs).

The chart is rendered by Helm in several configurations; each resource is validated against its own published schema:
Kubernetes' against kubernetes-validate, the Prometheus operator's and KServe's against their types. Wrong values must be
rejected. Alert rules and their tests go to promtool where it is installed. Needs pip; the checkers are installed into the
user's cache.
"""

import argparse

from fer_tools.shared.project import add_only
from fer_tools.shared.report import run_all


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    add_only(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the checks."""
    from fer_tools.deploy_test import checks  # noqa: F401 (adds its checks)

    return run_all(None, arguments.only)
