"""Files that an operator may have put in the wrong place: a FIFO, a file of gigabytes."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from fer_tools.attack_test import watch
from fer_tools.shared.client import Client
from fer_tools.shared.images import png
from fer_tools.shared.project import MODEL
from fer_tools.shared.server import MIB, Server

KEY, WITHDRAWN = "good-key-0123456789abcdef0123456789", "old-key-0123456789abcdef0123456789a"
# Seconds until a reload is refused; until a start fails; bytes that a refused file may cost.
REFUSED, ENDED, COST = 15, 15, 64 * MIB


def fifo(path: Path) -> None:
    """Opening it waits for a writer that never comes."""
    path.unlink()
    os.mkfifo(path)


def huge(path: Path) -> None:
    """3 GiB that take no room on the disk."""
    os.truncate(path, 3 << 30)


def status(server: Server, method: str, path: str, key: str, body: bytes = b"") -> int:
    """The status of a request with a key."""
    client = Client(server.port, REFUSED)
    try:
        client.connection.request(method, path, body, {"authorization": f"Bearer {key}", "content-type": "image/png"})
        return client.connection.getresponse().status
    finally:
        client.close()


def check(program: Path) -> list[str]:
    """What went wrong with files that cannot be read."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        model, keys = Path(folder) / "model", Path(folder) / "keys"
        shutil.copytree(MODEL, model)
        keys.write_text(f"{KEY}\n{WITHDRAWN}\n", encoding="ascii")
        with Server(program, "--drain-delay", "0s", "--api-keys", str(keys), model=model) as server:
            server.wait_ready(600)
            keys.write_text(f"{KEY}\n", encoding="ascii")
            for spoil in (fifo, huge):
                for name in ("model.pt", "model.json"):
                    wrong += refused(server, model / name, spoil)
                    shutil.copy(MODEL / name, Path(folder) / "new")
                    os.replace(Path(folder) / "new", model / name)
            if status(server, "POST", "/predict", WITHDRAWN, png(48, 48)) != 401:
                wrong.append("a key that was withdrawn is still accepted")
        fifo(keys)
        command = [str(program), "run", "--listen", "127.0.0.1:0", "--model", str(model), "--api-keys", str(keys)]
        try:
            if subprocess.run(command, capture_output=True, timeout=ENDED, check=False).returncode == 0:
                wrong.append("a start with a FIFO as the file of keys ends with 0")
        except subprocess.TimeoutExpired:
            wrong.append("a start with a FIFO as the file of keys does not end")
    return [f"files: {text}" for text in wrong]


def refused(server: Server, path: Path, spoil: Callable[[Path], None]) -> list[str]:
    """Reloads with a spoilt file; what was wrong with that."""
    what = f"{spoil.__name__} {path.name}"
    before = watch.memory(server.child.pid)
    spoil(path)
    watching = watch.Watch(server.child.pid)
    try:
        reload = status(server, "POST", "/admin/reload", KEY)
        answered = status(server, "POST", "/predict", KEY, png(48, 48))
    except OSError as error:
        return [f"{what}: {error}"]
    finally:
        most = watching.stop()
    wrong = []
    if reload == 200:
        wrong.append(f"{what}: the reload is said to have succeeded")
    if answered != 200:
        wrong.append(f"{what}: a good request gets {answered}")
    if most - before > COST:
        wrong.append(f"{what}: {(most - before) // MIB} MiB of memory")
    return wrong
