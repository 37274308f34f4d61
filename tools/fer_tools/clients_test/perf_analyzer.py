"""perf_analyzer: the program, and libraries for it where the system's are too old."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from fer_tools.shared import environment
from fer_tools.shared.report import Failed, Skipped

# The wheel's platform. pip does not offer it where glibc is older.
PERF_PLATFORM, PERF_GLIBC = "manylinux_2_38_x86_64", (2, 38)
# The libraries it is linked to, by Debian 13's names.
DEBIAN_LIBRARIES = ["libc6", "libstdc++6", "libgcc-s1", "libssl3t64", "zlib1g"]


def perf_analyzer() -> list[str]:
    """The command that runs perf_analyzer, which is fetched if it is not there yet."""
    if platform.machine() != "x86_64":
        raise Skipped(f"there is no perf_analyzer for {platform.machine()}")
    home = environment.apart("clients-test", environment.pinned("perf-analyzer"), "--platform", PERF_PLATFORM)
    program = home / "perf_analyzer" / "bin" / "perf_analyzer"
    program.chmod(0o755)
    name, _, version = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")
    if name != "glibc":
        raise Skipped(f"perf_analyzer needs glibc, this is {name}")
    if tuple(map(int, version.split(".")[:2])) >= PERF_GLIBC:
        return [str(program)]
    libraries = environment.once(environment.folder("clients-test") / "debian", fetch_libraries) / "root/usr/lib/x86_64-linux-gnu"
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), str(program)]


def fetch_libraries(home: Path) -> None:
    """Debian 13's C library and the others in a folder of their own; the system's stay as they are."""
    key = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb") and key.exists()):
        raise Skipped("perf_analyzer needs glibc 2.38, this system's is older, and there is no Debian archive to take another from")
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


def run(command: list[str], cwd: Path | None = None) -> str:
    """What the command prints; Failed with its complaint if it fails."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command[:3])} … ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.stdout
