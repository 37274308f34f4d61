"""Build the CPU image and check it (what `make docker-test` runs).

    tools/fer docker-test                     build, then every check
    tools/fer docker-test --image TAG         the checks on an image that is there
    tools/fer docker-test --build-only        what `make docker` runs
    tools/fer docker-test --only health       only checks whose name contains this; may be given several times

Other arguments go to `docker build`. Needs Docker on Linux; the checks with traffic also need haproxy, nginx, wrk and
prometheus, and are skipped, with a message, without them. Nothing is published: containers use the host's network on
loopback.
"""

import argparse
import os
import shutil
import subprocess
from datetime import datetime, timezone

from fer_tools.shared.project import ROOT, add_only, version
from fer_tools.shared.report import require, run_all

TARGETS = {"cpu": "runtime-cpu", "cuda": "cuda"}


class Context:
    """What the checks share."""

    # Of a rolling restart: as many as come.
    requests = 0

    def __init__(self, image: str) -> None:
        self.image, self.version = image, version()
        self.read: list = []

    @property
    def layers(self) -> list:
        """The image's layers, read once."""
        from fer_tools.docker_test.layers import read_image

        if not self.read:
            self.read = read_image(self.image)
        return self.read


def revision() -> str:
    """The commit that is checked out; `-dirty` if files differ from it."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def build(image: str, device: str, options: list[str]) -> int:
    """`docker build` with the values of the labels."""
    created = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    command = ["docker", "build", "--network=host", f"--target={TARGETS[device]}", f"--tag={image}"]
    for name, value in (("VERSION", version()), ("REVISION", revision()), ("CREATED", created)):
        command.append(f"--build-arg={name}={value}")
    # Plain `docker build` where BuildKit is not installed: the Dockerfile needs nothing of it.
    environment = dict(os.environ)
    has_buildkit = subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0
    environment.setdefault("DOCKER_BUILDKIT", "1" if has_buildkit else "0")
    print(" ".join(command + options + [str(ROOT)]), flush=True)
    return subprocess.run([*command, *options, str(ROOT)], env=environment, check=False).returncode


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.add_argument("--image", help="check this image instead of building one")
    parser.add_argument("--device", default="cpu", choices=sorted(TARGETS), help="which image to build (default: cpu)")
    parser.add_argument("--build-only", action="store_true", help="build and check nothing")
    parser.set_defaults(others=[])  # unknown arguments are for `docker build`
    add_only(parser)


def run(arguments: argparse.Namespace) -> int:
    """Builds and checks."""
    usable = shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False)
    if not usable or usable.returncode != 0:
        print(
            "*** SKIPPED: the container image was neither built nor tested, because no Docker engine answers here.\n"
            "0 passed, 0 failed, 1 skipped"
        )
        return 1 if arguments.build_only else 0
    image = arguments.image or f"fer-serve:{version()}" + ("" if arguments.device == "cpu" else f"-{arguments.device}")
    if not arguments.image:
        code = build(image, arguments.device, arguments.others)
        if code != 0 or arguments.build_only:
            return code
    require(arguments.device == "cpu", "only the CPU image is checked; use --build-only with the others")
    from fer_tools.docker_test import image_checks, monitoring_checks, run_checks, traffic_checks  # noqa: F401 (each adds its checks)

    return run_all(Context(image), arguments.only)
