#!/usr/bin/env python3
"""Tests of setup-libtorch with small made-up wheels and a made-up pip: no network, about two seconds."""

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "setup-libtorch"

# Stands in for `python3 -m pip download …`: records the call, then does what FAKE_PIP says.
PIP = '''
import os, shutil, signal, sys
options = dict(a.lstrip("-").split("=", 1) for a in sys.argv[1:] if "=" in a)
package, version = open(options["requirement"]).read().split()[0].split("==")
name = package.replace("-", "_") + "-" + version
wheel = next(f for f in os.listdir(os.environ["FAKE_WHEELS"]) if f.startswith(name + "-"))
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(package + "\\n")
mode = os.environ.get("FAKE_PIP", "")
target = os.path.join(options["dest"], wheel)
if mode.startswith("die:") and mode[4:] == package:
    open(target, "wb").write(b"half")
    os.kill(os.getppid(), signal.SIGKILL)
elif mode == "offline":
    sys.exit("WARNING: Retrying\\nERROR: No matching distribution found for " + package)
elif mode == "full":
    sys.exit("ERROR: Could not install packages: [Errno 28] No space left on device")
elif mode == "refuses":
    sys.exit("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\\n Expected sha256 x\\n      Got        " + "0" * 64)
else:
    shutil.copy(os.path.join(os.environ["FAKE_WHEELS"], wheel), target)
    if mode == "tampers":
        with open(target, "r+b") as file:
            file.write(b"XX")
'''

MEMBERS = {
    "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl": {
        "torch/include/torch/all.h": "// header",
        "torch/lib/libtorch.so": "whole",
        "torch/lib/libtorch_cpu.so": "cpu",
        "torch/lib/libtorch_cuda.so": "cuda",
        "torch/lib/libtorch_python.so": "python",
        "torch/lib/libc10.so": "c10",
        "torch/lib/libgomp.so.1": "gomp",
        "torch/nn/module.py": "pass",
        "torch-2.13.0.dist-info/licenses/LICENSE": "terms",
    },
    "nvidia_cuda_cupti-13.0.85-py3-none-any.whl": {"nvidia/cu13/lib/libcupti.so.13": "cupti"},
    "nvidia_cuda_runtime-13.0.96-py3-none-any.whl": {
        "nvidia/cu13/lib/libcudart.so.13": "cudart",
        "nvidia/cu13/lib/libcudart_static.a": "static",
    },
    "nvidia_cudnn_cu13-9.20.0.48-py3-none-any.whl": {"nvidia/cudnn/lib/libcudnn.so.9": "cudnn"},
}


class SetupTest(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = Path(temporary.name)
        self.wheels = self.root / "wheels"
        self.wheels.mkdir()
        (self.root / "python" / "pip").mkdir(parents=True)
        (self.root / "python" / "pip" / "__init__.py").write_text("")
        (self.root / "python" / "pip" / "__main__.py").write_text(PIP)
        self.log = self.root / "log"
        self.log.write_text("")
        self.cache = self.root / "cache with blank"
        self.folder = self.cache / "fer-serve" / "libtorch-2.13.0-cpu"
        self.table = self.root / "table.txt"
        rows = ["# a comment", ""]
        for file, members in MEMBERS.items():
            with zipfile.ZipFile(self.wheels / file, "w") as archive:
                for name, text in members.items():
                    archive.writestr(name, text)
            data = (self.wheels / file).read_bytes()
            devices = "cuda" if "cudnn" in file else "cpu,cuda"
            rows.append(f"{platform.machine()} {devices} {len(data)} {hashlib.sha256(data).hexdigest()} {file}")
        self.table.write_text("\n".join(rows) + "\n")

    def environment(self, **more: str) -> dict:
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "LIBTORCH"))}
        plain.update(
            PYTHONPATH=str(self.root / "python"),
            XDG_CACHE_HOME=str(self.cache),
            FAKE_WHEELS=str(self.wheels),
            FAKE_LOG=str(self.log),
        )
        plain.update(more)
        return plain

    def command(self, *options: str, python: tuple = ()) -> list:
        return [sys.executable, *python, str(SCRIPT), f"--table={self.table}", *options]

    def run_setup(self, *options: str, python: tuple = (), **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*options, python=python),
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def fetched(self) -> list:
        return self.log.read_text().split()

    def assert_ready(self, done: subprocess.CompletedProcess) -> None:
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.folder / "lib" / "libtorch.so").read_text(), "INPUT(-ltorch_cpu)\n")
        self.assertEqual(
            sorted(os.listdir(self.folder / "lib")),
            ["libc10.so", "libcudart.so.13", "libcupti.so.13", "libgomp.so.1", "libtorch.so", "libtorch_cpu.so"],
        )
        self.assertEqual((self.folder / "include" / "torch" / "all.h").read_text(), "// header")
        self.assertEqual((self.folder / "build-version").read_text(), "2.13.0\n")
        self.assertEqual((self.folder / "licenses" / "torch-2.13.0" / "LICENSE").read_text(), "terms")
        # No wheel is left behind.
        self.assertEqual(
            sorted(os.listdir(self.folder.parent)), ["libtorch-2.13.0-cpu", "libtorch-2.13.0-cpu.lock"]
        )

    def assert_refused(self, done: subprocess.CompletedProcess, *phrases: str) -> None:
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        for phrase in phrases:
            self.assertIn(phrase, done.stderr)

    def test_sets_up_then_has_nothing_to_do(self) -> None:
        self.assert_ready(self.run_setup())
        self.assertEqual(self.fetched(), ["torch", "nvidia-cuda-cupti", "nvidia-cuda-runtime"])
        again = self.run_setup(FAKE_PIP="offline")
        self.assertEqual((again.returncode, again.stdout, again.stderr), (0, "", ""))

    def test_cuda_brings_every_shared_library_and_the_real_libtorch(self) -> None:
        done = self.run_setup("--device=cuda")
        self.assertEqual(done.returncode, 0, done.stderr)
        lib = self.folder.with_name("libtorch-2.13.0-cuda") / "lib"
        self.assertEqual((lib / "libtorch.so").read_text(), "whole")
        self.assertEqual(
            sorted(set(os.listdir(lib)) - {"libc10.so", "libgomp.so.1", "libtorch.so", "libtorch_cpu.so"}),
            ["libcudart.so.13", "libcudnn.so.9", "libcupti.so.13", "libtorch_cuda.so"],
        )

    def test_killed_in_a_download_it_goes_on_with_what_is_missing(self) -> None:
        killed = self.run_setup(FAKE_PIP="die:nvidia-cuda-runtime")
        self.assertEqual(killed.returncode, -signal.SIGKILL)
        self.assertFalse(self.folder.exists())
        self.log.write_text("")
        self.assert_ready(self.run_setup())
        self.assertEqual(self.fetched(), ["nvidia-cuda-runtime"])

    def test_a_kept_wheel_that_was_damaged_is_fetched_again(self) -> None:
        self.run_setup(FAKE_PIP="die:nvidia-cuda-runtime")
        (torch,) = self.folder.with_name("libtorch-2.13.0-cpu.part").glob("torch-*.whl")
        torch.write_bytes(torch.read_bytes()[:-1])
        self.log.write_text("")
        self.assert_ready(self.run_setup())
        self.assertEqual(self.fetched(), ["torch", "nvidia-cuda-runtime"])

    def test_a_damaged_or_outdated_folder_is_made_again(self) -> None:
        self.assert_ready(self.run_setup())
        (self.folder / "lib" / "libtorch_cpu.so").write_text("")
        self.assert_ready(self.run_setup())
        stamp = json.loads((self.folder / "setup.json").read_text())
        stamp["layout"] = 0
        (self.folder / "setup.json").write_text(json.dumps(stamp))
        self.assert_ready(self.run_setup())
        self.assertEqual(len(self.fetched()), 9)

    def test_two_at_once_fetch_only_once(self) -> None:
        pair = [
            subprocess.Popen(self.command(), env=self.environment(), stderr=subprocess.PIPE, text=True) for _ in "ab"
        ]
        for process in pair:
            _, messages = process.communicate()
            self.assertEqual(process.returncode, 0, messages)
        self.assert_ready(self.run_setup())
        self.assertEqual(len(self.fetched()), 3)

    def test_another_file_under_the_right_name_is_refused(self) -> None:
        tampered = self.run_setup(FAKE_PIP="tampers")
        self.assert_refused(tampered, "torch-2.13.0-cp312", "SHA-256", "should not trust it", "LIBTORCH")
        self.assert_refused(self.run_setup(FAKE_PIP="refuses"), "SHA-256 is 0000", "should not trust it")
        self.assertFalse(self.folder.exists())
        self.assert_ready(self.run_setup())

    def test_no_network_says_what_to_do(self) -> None:
        done = self.run_setup(FAKE_PIP="offline")
        self.assert_refused(done, "No matching distribution", "pip could not fetch torch 2.13.0", "network", "LIBTORCH")

    def test_no_pip_says_what_to_install(self) -> None:
        # -S hides site-packages, where pip lives; -E the made-up one.
        done = self.run_setup(python=("-S", "-E"))
        self.assert_refused(done, "has no pip", "sudo apt-get install python3-pip")

    def test_too_small_a_disk_is_told_before_the_download(self) -> None:
        self.table.write_text(f"{platform.machine()} cpu {10**18} {'0' * 64} torch-2.13.0-cp312-cp312-any.whl\n")
        self.assert_refused(self.run_setup(), "free, but 2000000000.5 GB are needed", str(self.folder.parent))
        self.assertEqual(self.fetched(), [])

    def test_a_disk_that_fills_up_meanwhile_is_told(self) -> None:
        self.assert_refused(self.run_setup(FAKE_PIP="full"), "is full", "XDG_CACHE_HOME")

    def test_a_cache_that_cannot_be_written_is_told(self) -> None:
        self.cache.write_text("a file where the folder should be")
        self.assert_refused(self.run_setup(), "cannot write to", "XDG_CACHE_HOME")

    def test_another_machine_is_told(self) -> None:
        self.table.write_text(self.table.read_text().replace(platform.machine() + " ", "pdp11 "))
        self.assert_refused(self.run_setup(), "only for Linux on pdp11", "LIBTORCH")

    def test_the_users_own_libtorch_is_checked_and_nothing_else(self) -> None:
        own = self.root / "own"
        self.assert_refused(self.run_setup(LIBTORCH="own"), "is relative")
        self.assert_refused(self.run_setup(LIBTORCH=str(own)), "is not a folder")
        (own / "lib").mkdir(parents=True)
        self.assert_refused(self.run_setup(LIBTORCH=str(own)), "no lib/libtorch.so")
        for name in ("libtorch.so", "libtorch_cpu.so"):
            (own / "lib" / name).write_text("")
        self.assert_refused(self.run_setup(LIBTORCH=str(own)), "no include/torch")
        (own / "include" / "torch").mkdir(parents=True)
        self.assertEqual(self.run_setup(LIBTORCH=str(own)).returncode, 0)
        (own / "build-version").write_text("2.13.0+cpu\n")
        self.assertEqual(self.run_setup(LIBTORCH=str(own)).returncode, 0)
        self.assert_refused(self.run_setup("--device=cuda", LIBTORCH=str(own)), "no lib/libtorch_cuda.so")
        (own / "build-version").write_text("2.12.1\n")
        self.assert_refused(self.run_setup(LIBTORCH=str(own)), "is version 2.12.1, but 2.13.0 is needed")
        self.assertEqual(self.run_setup("--path", LIBTORCH=str(own)).stdout, f"{own}\n")
        self.assertEqual(self.fetched(), [])
        self.assertFalse(self.cache.exists())

    def test_the_shell_line_survives_blanks(self) -> None:
        line = self.run_setup("--env").stdout
        shown = subprocess.run(["sh", "-c", line + 'printf %s "$LIBTORCH"'], capture_output=True, text=True, check=True)
        self.assertEqual(shown.stdout, str(self.folder))


if __name__ == "__main__":
    unittest.main()
