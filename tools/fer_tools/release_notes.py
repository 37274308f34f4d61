"""Print one version's part of CHANGELOG.md; refuses a version that is not Cargo.toml's or has no part.

    tools/fer release-notes 0.1.0
"""

import argparse
import re

from fer_tools.shared import project
from fer_tools.shared.report import Failed, require


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.add_argument("version", help="such as 0.1.0")


def run(arguments: argparse.Namespace) -> int:
    """Prints the part."""
    version = arguments.version
    require(project.version() == version, f"Cargo.toml says {project.version()}, not {version}")
    chart = (project.ROOT / "deploy/helm/fer-serve/Chart.yaml").read_text(encoding="utf-8")
    require(f'appVersion: "{version}"' in chart, f"the chart's appVersion is not {version}")
    changelog = (project.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for part in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        if heading.startswith(f"[{version}]"):
            print(text.strip())
            return 0
    raise Failed(f"CHANGELOG.md has no part for {version}")
