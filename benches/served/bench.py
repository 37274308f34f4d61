#!/usr/bin/env python3
"""The service under load, compared with FastAPI and LitServe with the same weights.

Everything takes turns, round after round, so that other work on the machine affects all of them alike; the tables give
medians over the rounds. Server and load generator share this machine's processors, for us and for the peers. Traffic goes
to loopback only.

    benches/served/run                                     tables, in Markdown
    benches/served/run --json FILE --plot FILE.png         the figures, and latency against load as a plot
    benches/served/run --rounds 1 --short                  a first impression in two minutes
    benches/served/run --knobs                             instead: the effect of the flags, one by one
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import drawn
import knobs
import load
import report
from fer_tools.shared.project import MODEL, add_program

CONNECTIONS = (1, 8, 32, 128)
SHARES = (0.25, 0.5, 0.75, 0.9)
# Connections of an open loop: more than ever wait for an answer, few enough that opening them costs little.
OPEN = 64
# Twice the server's in-flight limit where it answers fastest, below its --max-connections.
CROWD = min(2 * 384 * load.CORES, 4000)


class Bench:
    """The measurements; `seen` collects them by name, one entry a round."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.program, self.model = arguments.program, arguments.model.resolve()
        self.short = arguments.short
        self.seen: dict[str, list[load.Seen]] = {}
        self.raw: dict[str, list[float]] = {}
        self.single: dict[str, float] = {}
        self.face = load.Request.image(folder, "face.png", drawn.face())
        self.sizes = {
            "640×480 JPEG": load.Request.image(folder, "medium.jpg", drawn.photo(640, 480)),
            "1920×1280 JPEG": load.Request.image(folder, "large.jpg", drawn.photo(1920, 1280)),
        }

    def seconds(self, full: float) -> float:
        return full / 4 if self.short else full

    def note(self, name: str, seen: load.Seen) -> load.Seen:
        self.seen.setdefault(name, []).append(seen)
        failed = f", {seen.failed} FAILED" if seen.failed else ""
        refused = f", {seen.refused} refused" if seen.refused else ""
        print(f"{name}: {seen.rate:.0f}/s, p50 {seen.p50:.2f} ms, p99 {seen.p99:.2f} ms{refused}{failed}", file=sys.stderr)
        return seen

    def alone(self) -> None:
        """Our engines without a server."""
        command = [str(self.program), "bench", "--json", "--model", str(self.model), "--repeats", "1"]
        command += ["--duration-ms", "400", "--workers", ",".join(map(str, sorted({1, load.CORES})))]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        for row in json.loads(done.stdout)["rows"]:
            name = f"{row['engine']} {row['precision']}, {row['workers']} workers, batch {row['batch']}"
            self.raw.setdefault(name, []).append(row["images_per_second"][0])

    def round(self) -> None:
        self.alone()
        with load.ours(self.program, self.model) as server:
            load.load(server.port, self.face, 32, seconds=1)
            for connections in CONNECTIONS:
                seen = load.load(server.port, self.face, connections, seconds=self.seconds(5))
                self.note(f"ours, {connections} connections", seen)
            top = self.seen["ours, 32 connections"][-1].rate
            for name, request in self.sizes.items():
                self.note(f"ours, {name}", load.load(server.port, request, 32, seconds=self.seconds(4)))
            for share in SHARES:
                seen = load.load(server.port, self.face, OPEN, seconds=self.seconds(10), rate=share * top)
                self.note(f"open loop, {share:.0%}", seen)
            for times, seconds in ((2, 10), (4, 60)):
                before = server.resident() / 2**20
                seen = load.load(server.port, self.face, CROWD, seconds=self.seconds(seconds), rate=times * top, due=False)
                self.note(f"overload, {times} ×", seen)
                print(f"memory {before:.0f} → {server.resident() / 2**20:.0f} MiB", file=sys.stderr)
        if any(name.startswith("packed bf16") for name in self.raw):
            with load.ours(self.program, self.model, "--precision", "bf16") as server:
                load.load(server.port, self.face, 32, seconds=1)
                self.note("ours in bf16, 32 connections", load.load(server.port, self.face, 32, seconds=self.seconds(5)))
        self.peers()
        self.alone()

    def peers(self) -> None:
        """Each in its two arrangements: as many processes as cores, and one with as many threads."""
        for name, start, request in (
            ("FastAPI", load.fastapi, self.face),
            ("LitServe", load.litserve, self.face.as_json()),
        ):
            for workers, threads in {(load.CORES, 1), (1, load.CORES)}:
                with start(self.model, workers, threads) as server:
                    load.load(server.port, request, 8, seconds=2)
                    for connections in (1, 32):
                        seen = load.load(server.port, request, connections, seconds=self.seconds(5))
                        self.note(f"{name} ({workers} × {threads}), {connections} connections", seen)

    def start_up(self) -> None:
        """From the start of the process to a 200 of /readyz, the model's files in the page cache."""
        times = []
        for _ in range(3 if self.short else 9):
            with load.ours(self.program, self.model) as server:
                times.append(server.ready)
        self.single["ready"] = statistics.median(times)

    def memory(self) -> None:
        """After 20,000 requests, and after ten times as many."""
        with load.ours(self.program, self.model) as server:
            first = 2_000 if self.short else 20_000
            load.load(server.port, self.face, 32, requests=first)
            time.sleep(1)
            self.single["memory"] = server.resident() / 2**20
            load.load(server.port, self.face, 32, requests=9 * first)
            time.sleep(1)
            self.single["memory later"] = server.resident() / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_program(parser, "--program")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="a quarter of each measurement's time")
    parser.add_argument("--knobs", action="store_true", help="measure our flags instead, one by one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw latency against load there (PNG or SVG)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        if arguments.knobs:
            requests = {"face": bench.face, "photo": bench.sizes["1920×1280 JPEG"]}
            print(knobs.measure(bench.program, bench.model, requests, arguments.rounds))
            return 0
        bench.start_up()
        bench.memory()
        for _ in range(arguments.rounds):
            bench.round()
    figures = report.figures(bench)
    print(report.tables(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if arguments.plot:
        report.plot(figures, arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
