"""The server that is attacked: a child of this process, or the image in a container."""

import argparse
import contextlib
import re
import resource
import shutil
from collections.abc import Iterator

from fer_tools.attack_test.bench import MIB, Target
from fer_tools.docker_test.container import Container, docker
from fer_tools.shared.project import version
from fer_tools.shared.report import Skipped
from fer_tools.shared.server import Server

# The server with its model; a decoder of small images (docs/security.md has the sum).
SERVER, LIGHT = 208 * MIB, 40 * MIB


def stated(log: str) -> int:
    """The sum of the limits that the server logs at its start."""

    def of(name: str) -> int:
        found = re.search(rf"\b{name}=(\d+)", re.sub("\x1b\\[[0-9;]*m", "", log))
        assert found, f"{name} is not in the log"
        return int(found.group(1))

    return SERVER + of("max_buffered") + of("decode_memory") + LIGHT * (of("decode_threads") + 1)


@contextlib.contextmanager
def of(arguments: argparse.Namespace) -> Iterator[Target]:
    """Starts it, and ends it afterwards."""
    if arguments.container:
        with container(arguments.container) as target:
            yield target
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # An attack of the quick form waits for its answers, which may all come at the deadline where the machine is busy.
    flags = {"--drain-delay": "0s", "--request-timeout": "5s" if arguments.quick else "10s"}
    flags |= {"--decode-memory": arguments.decode_memory, "--max-buffered": arguments.max_buffered}
    given = [word for name, value in flags.items() if value for word in (name, value)]
    with Server(arguments.program, *given, log="info") as server:
        server.wait_ready(600)
        yield Target(server.port, server.child.pid, stated(server.logged()), arguments.program)


@contextlib.contextmanager
def container(memory: str) -> Iterator[Target]:
    """The image `make docker` builds, with default flags."""
    if not shutil.which("docker"):
        raise Skipped("docker is not installed")
    try:
        docker("info", timeout=20)
    except Exception as error:
        raise Skipped(f"docker does not answer: {error}") from error
    image = f"fer-serve:{version()}"
    limit = int(memory[:-1]) << {"k": 10, "m": 20, "g": 30}[memory[-1].lower()]
    with Container(image, f"--memory={memory}", f"--memory-swap={memory}") as attacked:
        attacked.wait_ready()
        yield Target(attacked.port, attacked.state()["Pid"], limit)
