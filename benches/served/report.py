"""From measurements to tables and a plot."""

import statistics
from pathlib import Path
from typing import Any

import load

Figures = dict[str, Any]


def figures(bench: Any) -> Figures:
    """Medians over the rounds."""
    seen = {name: load.median(rows)._asdict() for name, rows in bench.seen.items()}
    raw = {name: statistics.median(rows) for name, rows in bench.raw.items()}
    return {"cores": load.CORES, "rounds": len(bench.raw[next(iter(raw))]) // 2, "served": seen, "raw": raw, **bench.single}


def best(found: Figures, precision: str, workers: int) -> float:
    """Images a second of our engine without a server, at its best batch size."""
    start = f"packed {precision}, {workers} workers"
    return max(speed for name, speed in found["raw"].items() if name.startswith(start))


def better(found: Figures, peer: str, connections: int) -> dict[str, float]:
    """A peer in its better arrangement."""
    rows = [row for name, row in found["served"].items() if name.startswith(peer) and f", {connections} conn" in name]
    return max(rows, key=lambda row: row["rate"])


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def loads(found: Figures) -> str:
    """A row for each load."""
    rows = []
    for name, seen in found["served"].items():
        times = [f"{seen[key]:.2f} ms" for key in ("p50", "p99")]
        rows.append([name, f"{seen['rate']:.0f}", *times, f"{seen['refused']:.0f}", f"{seen['failed']:.0f}"])
    return table(["load", "200s a second", "p50", "p99", "503", "failed"], rows)


def alone(found: Figures) -> str:
    """Our engines without a server."""
    points = [(workers, batch) for workers in sorted({1, found["cores"]}) for batch in (1, 8, 32)]
    head = ["images a second of the engine alone", *(f"{workers} × batch {batch}" for workers, batch in points)]
    rows = []
    for engine in sorted({name.split(",")[0] for name in found["raw"]}):
        speeds = [found["raw"][f"{engine}, {workers} workers, batch {batch}"] for workers, batch in points]
        rows.append([engine, *(f"{speed:.0f}" for speed in speeds)])
    return table(head, rows)


def ratios(found: Figures) -> str:
    """The ratios of the figures."""
    served, cores = found["served"], found["cores"]
    top, rows = served["ours, 32 connections"]["rate"], []
    if any(name.startswith("packed int8") for name in found["raw"]):
        one = 1000 / found["raw"]["packed int8, 1 workers, batch 1"]
        rows += [
            ["served, 32 connections ÷ engine alone, int8", f"{top / best(found, 'int8', cores):.2f}"],
            ["one connection, median − an image alone", f"{served['ours, 1 connections']['p50'] - one:.2f} ms"],
            ["open loop at 75 %, p99 ÷ an image alone", f"{served['open loop, 75%']['p99'] / one:.1f}"],
        ]
    if "ours in bf16, 32 connections" in served:
        rate = served["ours in bf16, 32 connections"]["rate"]
        rows.append(["served, 32 connections ÷ engine alone, bf16", f"{rate / best(found, 'bf16', cores):.2f}"])
    for peer in ("FastAPI", "LitServe"):
        for connections in (1, 32):
            rate = served[f"ours, {connections} connections"]["rate"] / better(found, peer, connections)["rate"]
            rows.append([f"÷ {peer}, {connections} connections", f"{rate:.1f}"])
    for times in (2, 4):
        rows.append([f"answered at {times} × capacity ÷ capacity", f"{served[f'overload, {times} ×']['rate'] / top:.2f}"])
    rows.append(["start to ready", f"{found['ready']:.2f} s"])
    rows.append(["memory after 20,000 and 200,000 requests", f"{found['memory']:.0f}, {found['memory later']:.0f} MiB"])
    return table(["ratio", ""], rows)


def tables(found: Figures) -> str:
    return "\n\n".join([loads(found), alone(found), ratios(found)])


def plot(found: Figures, file: Path) -> None:
    """p50 and p99 of the open loop against the share of capacity."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = {float(name[11:-1]): row for name, row in found["served"].items() if name.startswith("open loop")}
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110)
    for key, label in (("p50", "median"), ("p99", "99th percentile")):
        axes.plot(list(rows), [row[key] for row in rows.values()], marker="o", label=label)
    capacity = found["served"]["ours, 32 connections"]["rate"]
    axes.set_xlabel(
        f"requests sent, % of capacity ({capacity:.0f}/s, {found['cores']} cores shared with the load generator)"
    )
    axes.set_ylabel("latency (ms)")
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend()
    axes.set_title("Latency of POST /predict against load (48×48 PNG, open loop)")
    figure.tight_layout()
    figure.savefig(file)
