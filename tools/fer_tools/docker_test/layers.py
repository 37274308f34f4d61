"""Reads an image's layers as `docker save` writes them, in one pass and without unpacking them to disk."""

import json
import subprocess
import tarfile
import zlib
from typing import IO, NamedTuple


class Member(NamedTuple):
    """One entry of a layer; `text` only of small regular files that are no ELF programs."""

    path: str
    mode: int
    size: int
    kind: str  # file, folder, link or other
    text: bytes


class Layer(NamedTuple):
    """A layer: its members, its bytes as tar and as gzip."""

    members: list[Member]
    size: int
    gzipped: int


class Counting:
    """Passes a stream on and measures it, plain and gzipped."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.size, self.gzipped = stream, 0, 0
        self.squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)

    def read(self, count: int = -1) -> bytes:
        """Like a file's."""
        block = self.stream.read(count)
        self.size += len(block)
        self.gzipped += len(self.squeeze.compress(block))
        return block

    def finish(self) -> None:
        """Reads what tarfile left and closes the compressor."""
        while self.read(1 << 20):
            pass
        self.gzipped += len(self.squeeze.flush())


def read_layer(stream: IO[bytes]) -> Layer:
    """One layer, which older engines save as layer.tar and newer ones as a blob."""
    counting, members = Counting(stream), []
    with tarfile.open(fileobj=counting, mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            kind = "file" if member.isfile() else "folder" if member.isdir() else "link" if member.issym() else "other"
            text = b""
            if kind == "file" and member.size < 4_000_000:
                text = archive.extractfile(member).read()  # type: ignore[union-attr]
                text = b"" if text.startswith(b"\x7fELF") else text
            path = "/" + member.name.lstrip("./")
            members.append(Member(path.rstrip("/") or "/", member.mode, member.size, kind, text))
    counting.finish()
    return Layer(members, counting.size, counting.gzipped)


def looks_like_tar(name: str, head: bytes) -> bool:
    """A layer, not a manifest or configuration (which are JSON)."""
    return name.endswith("layer.tar") or (name.startswith("blobs/") and not head.startswith(b"{"))


class Rewound:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self.head, self.stream = head, stream

    def read(self, count: int = -1) -> bytes:
        """Like a file's."""
        if self.head:
            block = self.head if count < 0 else self.head[:count]
            self.head = self.head[len(block) :]
            return block + (self.stream.read() if count < 0 else b"")
        return self.stream.read(count)


def read_image(image: str) -> list[Layer]:
    """Every layer of an image, lowest first."""
    layers: dict[str, Layer] = {}
    order: list[str] = []
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
        with tarfile.open(fileobj=save.stdout, mode="r|") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                stream = archive.extractfile(member)
                if member.name == "manifest.json":
                    order = json.load(stream)[0]["Layers"]  # type: ignore[arg-type]
                    continue
                head = stream.read(1)  # type: ignore[union-attr]
                if looks_like_tar(member.name, head):
                    layers[member.name] = read_layer(Rewound(head, stream))  # type: ignore[arg-type]
    return [layers[name] for name in order if name in layers]
