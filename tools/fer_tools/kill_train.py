"""Kill a training at random moments, again and again, and check that nothing is lost.

    tools/fer kill-train [--kills 50] [--program target/release/fer-train]

A small run on drawn faces is done once without interruption. Then the same run is started, killed (SIGKILL) at a random
moment, resumed and killed again, until the number of kills is reached; whenever it ends before its kill, it is compared
with the uninterrupted run and started from the beginning. All runs must end with the same bytes in their last checkpoint.
"""

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from fer_tools.shared import images
from fer_tools.shared.project import add_program
from fer_tools.shared.report import Failed, require

LAST = "last.safetensors"


class Training:
    """The run, in one folder of `work`."""

    def __init__(self, program: Path, work: Path, name: str) -> None:
        self.folder = work / name
        self.checkpoint = self.folder / LAST
        self.command = [str(program), "fit", "--train", str(work / "train.csv"), "--valid", str(work / "valid.csv")]
        self.command += ["--out", str(self.folder), "--recipe", "single", "--epochs", "3", "--batch-size", "8"]
        self.command += ["--checkpoint-seconds", "0", "--precision", "f32", "--threads", "1", "--device", "cpu"]
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}

    def resumes(self) -> bool:
        """Whether a checkpoint is there; what lies there without one is removed."""
        if self.checkpoint.exists():
            return True
        shutil.rmtree(self.folder, ignore_errors=True)
        return False

    def go(self, seconds: float | None = None) -> bytes | None:
        """Starts or resumes it; the last checkpoint's bytes, or None if it was killed after this time."""
        command = [*self.command, "--resume"] if self.resumes() else self.command
        try:
            done = subprocess.run(command, env=self.environment, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return None  # run() has sent SIGKILL
        require(done.returncode == 0, f"it ended with {done.returncode}:\n{done.stderr.decode(errors='replace')}")
        return self.checkpoint.read_bytes()


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.add_argument("--kills", type=int, default=50)
    add_program(parser, "--program", "fer-train")
    parser.add_argument("--seed", type=int, default=8, help="of the moments")


def run(arguments: argparse.Namespace) -> int:
    """Kills and compares."""
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "train.csv").write_text(images.training_csv(24), encoding="ascii")
        (work / "valid.csv").write_text(images.training_csv(7, first=24), encoding="ascii")
        began = time.monotonic()
        whole = Training(arguments.program, work, "whole").go()
        took = time.monotonic() - began
        print(f"Without interruption: {took:.1f} s")
        killed = Training(arguments.program, work, "killed")
        kills = ended = resumed = 0
        while True:
            last = kills == arguments.kills
            resumed += not last and killed.resumes()
            result = killed.go(None if last else random.uniform(0, took))
            if result is None:
                kills += 1
                continue
            ended += 1
            if result != whole:
                raise Failed(f"after {kills} kills it ended with other weights")
            if last:
                break
            shutil.rmtree(killed.folder)
        left = [path for path in killed.folder.iterdir() if path.name.endswith(".part")]
        print(f"{kills} kills, {resumed} resumed, {ended} runs completed: all with the same bytes.")
        print(f"Unfinished files left in its folder: {len(left)}")
    return 0
