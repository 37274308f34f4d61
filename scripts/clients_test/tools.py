"""Where the clients come from: a virtual environment in the user's cache, and perf_analyzer."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import List, Optional

from docker_test.report import Failed, Skipped

PERF_ANALYZER = "perf-analyzer==2.60.0"
# What the wheel is built for. pip does not offer it where glibc is older.
PERF_PLATFORM, PERF_GLIBC = "manylinux_2_38_x86_64", (2, 38)
# What it is linked to, by Debian 13's names.
DEBIAN_LIBRARIES = ["libc6", "libstdc++6", "libgcc-s1", "libssl3t64", "zlib1g"]


def environment(name: str, requirements: Path) -> Path:
    """A virtual environment with what the list wants; made anew when the list or Python changes."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    cache = (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "fer-serve"
    key = requirements.read_text(encoding="utf-8") + PERF_ANALYZER + sys.version
    folder = cache / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        print(f"{name}: fetching what {requirements.name} lists", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*pip, "--requirement", str(requirements)], check=True)
        (folder / "complete").touch()
    return folder


def perf_analyzer(folder: Path) -> List[str]:
    """The command that runs perf_analyzer, which is fetched when it is not there yet."""
    home = folder / "perf-analyzer"
    program = home / "perf_analyzer" / "bin" / "perf_analyzer"
    if platform.machine() != "x86_64":
        raise Skipped(f"there is no perf_analyzer for {platform.machine()}")
    if not program.exists():
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
        run([*pip, "--only-binary=:all:", "--platform", PERF_PLATFORM, "--target", str(home), PERF_ANALYZER])
    program.chmod(0o755)
    name, _, version = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")
    if name != "glibc":
        raise Skipped(f"perf_analyzer wants glibc, this is {name}")
    if tuple(map(int, version.split(".")[:2])) >= PERF_GLIBC:
        return [str(program)]
    libraries = newer_libraries(folder, version)
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), str(program)]


def newer_libraries(folder: Path, version: str) -> Path:
    """Debian 13's C library and the others in a folder of their own; the system's stay as they are."""
    home = folder / "debian"
    found = home / "root" / "usr" / "lib" / "x86_64-linux-gnu"
    if (home / "complete").exists():
        return found
    key = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and key.exists()):
        raise Skipped(f"perf_analyzer wants glibc 2.38, this is {version}, and there is no Debian archive to take another from")
    shutil.rmtree(home, ignore_errors=True)
    for part in ["lists/partial", "cache/archives/partial", "root"]:
        (home / part).mkdir(parents=True)
    sources = home / "sources.list"
    sources.write_text(f"deb [signed-by={key}] http://deb.debian.org/debian trixie main\n", encoding="ascii")
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": home / "lists",
        "Dir::Cache": home / "cache",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(part for name, value in settings.items() for part in ("-o", f"{name}={value}"))]
    run([*apt, "update"])
    run([*apt, "download", *DEBIAN_LIBRARIES], cwd=home)
    for package in home.glob("*.deb"):
        run(["dpkg-deb", "--extract", str(package), str(home / "root")])
        package.unlink()
    shutil.rmtree(home / "lists")
    shutil.rmtree(home / "cache")
    (home / "complete").touch()
    return found


def run(command: List[str], cwd: Optional[Path] = None) -> str:
    """What the command prints; Failed with its complaint if it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command[:3])} … ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout
