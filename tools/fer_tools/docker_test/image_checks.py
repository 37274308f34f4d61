"""Checks of the image at rest: size, contents, users, secrets, configuration."""

import json
import re

from fer_tools.docker_test import Context
from fer_tools.docker_test.container import docker
from fer_tools.shared.report import check, require

MOST_BYTES = 450_000_000
MOST_GZIPPED = 170_000_000

# Everything that may be in the image; any other path fails. Folders on the way are allowed by themselves.
ALLOWED = re.compile(
    r"""/app/bin/fer-(serve|decode|train)
      | /app/lib/lib(torch_cpu|c10|gomp|cudart|cupti)\.so[.\d]*
      | /app/licenses/.+
      | /app/model/(model\.pt|model\.safetensors|model(\.int8)?\.json|README\.md)
      | /etc/(passwd|group|ssl/certs/ca-certificates\.crt)
      | (/usr)?/lib(64|/[a-z0-9_]+-linux-gnu)?/(ld-linux[-\w]*|lib(c|m|dl|rt|pthread|util|gcc_s|stdc\+\+|atomic))\.so[.\d]*
      | /tmp""",
    re.VERBOSE,
)
SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[baprs]-[0-9A-Za-z-]{10}"
    rb"|(?i:(?:password|passwd|secret|api[_-]?key|token)\s*[=:]\s*[\"']?[A-Za-z0-9+/_-]{12,})"
    rb"|[a-z]+://[^/\s:@\"]+:[^/\s@\"]+@"
)
ENVIRONMENT = {"PATH", "FER_MODEL", "FER_LISTEN"}
LABELS = {"title", "description", "licenses", "version", "revision", "created"}


def configuration(context: Context) -> dict:
    """The image's configuration, as `docker inspect` gives it."""
    return json.loads(docker("image", "inspect", context.image))[0]


@check("image: size")
def size(context: Context) -> str:
    layers = context.layers
    plain, gzipped = sum(layer.size for layer in layers), sum(layer.gzipped for layer in layers)
    text = f"{plain / 1e6:.1f} MB in {len(layers)} layers, {gzipped / 1e6:.1f} MB gzipped"
    require(plain < MOST_BYTES, f"{text}; at most {MOST_BYTES / 1e6:.0f} MB are allowed")
    require(gzipped < MOST_GZIPPED, f"{text}; at most {MOST_GZIPPED / 1e6:.0f} MB gzipped are allowed")
    return text


@check("image: only what the programs need")
def contents(context: Context) -> str:
    files = [member for layer in context.layers for member in layer.members]
    stray = [member.path for member in files if member.kind != "folder" and not ALLOWED.fullmatch(member.path)]
    require(not stray, f"stray files: {stray[:10]}")
    folders = {path.rsplit("/", n)[0] for path in (m.path for m in files) for n in range(1, path.count("/") + 1)}
    empty = [m.path for m in files if m.kind == "folder" and m.path not in folders | {"/", "/tmp", "/app/lib", "/app"}]
    require(not empty, f"folders with nothing in them: {empty[:10]}")
    paths = {member.path for member in files}
    needed = ["/app/bin/fer-serve", "/app/bin/fer-decode", "/app/bin/fer-train", "/app/model/model.json", "/app/model/model.pt"]
    needed += ["/app/licenses/LICENSE-MIT", "/app/licenses/LICENSE-APACHE", "/app/licenses/THIRD-PARTY.txt"]
    require(paths.issuperset(needed), f"missing: {sorted(set(needed) - paths)}")
    for part in ("torch-2.13.0", "nvidia_cuda_cupti", "debian/libc6", "debian/libstdc++6", "rust"):
        require(any(p.startswith(f"/app/licenses/{part}") for p in paths), f"no licence of {part}")
    twice = len(files) - len({(m.path) for m in files if m.kind != "folder"}) - sum(m.kind == "folder" for m in files)
    require(twice == 0, f"{twice} files lie in more than one layer")
    return f"{sum(m.kind != 'folder' for m in files)} files"


@check("image: file modes")
def modes(context: Context) -> str:
    for layer in context.layers:
        for member in layer.members:
            require(not member.mode & 0o6000, f"{member.path} is setuid or setgid")
            writable = member.mode & 0o022 and member.kind != "link" and member.path != "/tmp"
            require(not writable, f"{member.path} has mode {member.mode:o}: others may write to it")
            require(member.kind == "link" or member.mode & 0o004, f"{member.path} cannot be read by every user")
    return "no setuid, nothing writable but /tmp"


@check("image: no secrets, no traces of the build")
def secrets(context: Context) -> str:
    looked_at = 0
    for layer in context.layers:
        for member in layer.members:
            if member.text and "/licenses/" not in member.path and not member.path.endswith("ca-certificates.crt"):
                looked_at += 1
                found = SECRETS.search(member.text)
                require(not found, f"{member.path} holds {found and found.group()[:40]!r}")
    settings = configuration(context)["Config"]
    names = {line.split("=", 1)[0] for line in settings["Env"]}
    require(names == ENVIRONMENT, f"environment variables {sorted(names ^ ENVIRONMENT)} too many or missing")
    history = docker("history", "--no-trunc", "--format={{.CreatedBy}}", context.image)
    found = SECRETS.search(history.encode())
    require(not found, f"the history holds {found and found.group()[:40]!r}")
    return f"{looked_at} text files, environment and history"


@check("image: user, entry point, health check, labels")
def configured(context: Context) -> str:
    settings = configuration(context)["Config"]
    user, _, group = settings["User"].partition(":")
    require(user.isdigit() and int(user) >= 10000 and group.isdigit(), f"USER is {settings['User']!r}")
    require(settings["Entrypoint"] == ["/app/bin/fer-serve"], f"ENTRYPOINT is {settings['Entrypoint']}")
    test = settings["Healthcheck"]["Test"]
    require(test == ["CMD", "/app/bin/fer-serve", "healthcheck"], f"HEALTHCHECK is {test}")
    require(list(settings["ExposedPorts"]) == ["8080/tcp"], f"ports are {settings['ExposedPorts']}")
    labels = {name.rpartition(".")[2]: value for name, value in settings["Labels"].items()}
    require(LABELS <= set(labels), f"labels {sorted(LABELS - set(labels))} are missing")
    require(labels["version"] == context.version, f"the version label is {labels['version']}")
    return f"USER {settings['User']}, version {labels['version']}, revision {labels['revision'][:12]}"
