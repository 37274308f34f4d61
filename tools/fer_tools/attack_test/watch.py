"""Memory and processor time of a server and its children, sampled."""

import os
import threading
import time
from pathlib import Path

PERIOD = 0.02
TICKS = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The processes that any thread of this one started and that have not ended."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += map(int, (thread / "children").read_text(encoding="ascii").split())
        except OSError:  # the thread has ended
            pass
    return found


def anonymous(pid: int) -> int:
    """Bytes of memory that belong to this process alone; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def times(pid: int) -> tuple[float, float]:
    """Seconds of processor time: of this process, and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    own, ended = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return own / TICKS, ended / TICKS


def memory(pid: int) -> int:
    """Bytes of the process and its children."""
    return anonymous(pid) + sum(map(anonymous, children(pid)))


def processor(pid: int) -> float:
    """Seconds of processor time of the process and all children it ever had."""
    return sum(times(pid)) + sum(times(child)[0] for child in children(pid))


class Watch:
    """The most memory from when it is made until `stop`."""

    def __init__(self, pid: int) -> None:
        self.pid, self.most = pid, 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self) -> None:
        """Samples."""
        while not self.ending.wait(PERIOD):
            try:
                self.most = max(self.most, memory(self.pid))
            except OSError:  # the server has ended, which the caller sees
                return

    def stop(self) -> int:
        """The most bytes seen."""
        self.ending.set()
        self.thread.join()
        return self.most


def rest(pid: int, seconds: float) -> None:
    """Waits until the processes have used nearly no processor time for 0.3 s."""
    ends, calm, before = time.monotonic() + seconds, 0, processor(pid)
    while calm < 3 and time.monotonic() < ends:
        time.sleep(0.1)
        now = processor(pid)
        calm = calm + 1 if now - before < 0.015 else 0
        before = now
