"""The README's performance table and chart, out of what `measure.py` left in a folder.

    python tests/benchmarks/report.py OUT --svg tests/benchmarks/scale.svg

Prints Markdown; the chart needs the extra `plot`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def read(folder: Path, name: str) -> Any:
    """A result file, or None if there is none."""
    path = folder / name
    if not path.exists():
        return None
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()] if name.endswith(".jsonl") else json.loads(text)


def table(folder: Path) -> list[str]:
    """The rows of figures against what was to be reached."""
    routing, pair = read(folder, "routing.json"), read(folder, "big.json")
    rows = ["| figure | to reach | measured |", "|---|---|---|"]

    def row(figure: str, reach: str, measured: str) -> None:
        rows.append(f"| {figure} | {reach} | {measured} |")

    steady, short = routing["http_200ms"], routing["http_200ms_short"]
    row("routed a second, 200 ms model over HTTP, 50 calls at a time (2,000 messages; ideal 250)", "225",
        f"{steady['routed_per_s']:.0f}")  # fmt: skip
    row("the same, 200 messages: the first calls have no line to come from", "", f"{short['routed_per_s']:.0f}")
    row("routed a second, 0 ms model over HTTP", "400", f"{routing['http_0ms']['routed_per_s']:.0f}")
    inproc = routing["inproc_0ms"]
    row("routed a second, 0 ms model in-process", "1,000", f"{inproc['routed_per_s']:,.0f}")
    row("routed and answered a second, 0 ms models in-process", "",
        f"{routing['inproc_0ms_replies']['routed_per_s']:,.0f}")  # fmt: skip
    row("CPU a message, in-process", "1 ms", f"{inproc['cpu_ms_per_message']:.2f} ms")
    limit = 2 * inproc["fsync_ms_p50"] + 3
    row("added to a single message, p50 (to reach: 2 fsyncs and 3 ms)", f"{limit:.1f} ms",
        f"{inproc['serial_overhead_ms_p50']:.1f} ms")  # fmt: skip
    row("messages of one user out of order", "0", f"{inproc['same_user_order_inversions']:.0f}")
    row("stored a message, ledger and graph", "", f"{inproc['db_bytes_per_message'] / 1000:.1f} kB")
    if pair:
        big = pair["big"]
        before, after = pair["small"]["serial_overhead_ms_p50"], big["serial_overhead_ms_p50"]
        row("1 M threads against 1 k, added to a single message, p50", "1.2 times",
            f"{after / before:.2f} times ({after:.1f} / {before:.1f} ms)")  # fmt: skip
        row("start with a current graph of 1 M threads", "3 s, 400 MB",
            f"{big['open_s']:.2f} s, {big['rss_peak_mb']:.0f} MB")  # fmt: skip
    return rows


def peers(folder: Path) -> list[str]:
    """The rows of the comparison."""
    compare = read(folder, "compare.json")
    if not compare:
        return []
    rows = ["", "| 200 messages, 200 ms model over HTTP, 50 at a time | routed a second | CPU a message | inversions |",
            "|---|---|---|---|"]  # fmt: skip
    for name, figures in compare["medians"].items():
        better = figures.get("fleet_is_better_by_routed_per_s")
        rows.append(
            f"| {name} | {figures['routed_per_s']:.0f}{f' (fleet: {better:g} times)' if better else ''} | "
            f"{figures['cpu_ms_per_message']:.1f} ms | {figures['same_user_order_inversions']:.0f} |"
        )
    return rows


def grown(folder: Path) -> list[str]:
    """The rows of growing histories."""
    rows = [
        "",
        "| history | added, p50 | CPU a message | start | memory | ledger | graph |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in read(folder, "scale.jsonl") or []:
        name = f"{each['threads']:,} threads × {each['messages_a_thread']:,}, {each['users']:,} users"
        rows.append(
            f"| {name} | {each['serial_overhead_ms_p50']:.1f} ms | {each['cpu_ms_per_message']:.2f} ms | "
            f"{each['open_s']:.2f} s | {each['rss_mb_after']:.0f} MB | {each['ledger_bytes'] / 1e6:.0f} MB | "
            f"{each['graph_bytes'] / 1e6:.0f} MB |"
        )
    return rows


def draw(folder: Path, svg: Path) -> None:
    """The chart: what is added to a single message, by the number of threads that there are."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "fleet"
    from matplotlib import pyplot

    scale = [each for each in read(folder, "scale.jsonl") if each["case"].startswith("threads_")]
    points = [(each["threads"], each["serial_overhead_ms_p50"], each["open_s"]) for each in scale]
    pair = read(folder, "big.json")
    if pair:
        big = pair["big"]
        points.append((1_000_000, big["serial_overhead_ms_p50"], big["open_s"]))
    figure, axes = pyplot.subplots(figsize=(6.4, 3.2))
    axes.plot([p[0] for p in points], [p[1] for p in points], "o-", label="added to a single message, p50 (ms)")
    axes.plot([p[0] for p in points], [1000 * p[2] for p in points], "s--", label="start with a current graph (ms)")
    axes.set(xscale="log", yscale="log", xlabel="threads in the home", ylabel="ms")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(svg, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--svg", type=Path)
    a = parser.parse_args()
    print("\n".join([*table(a.folder), *peers(a.folder), *grown(a.folder)]))
    if a.svg:
        draw(a.folder, a.svg)


if __name__ == "__main__":
    main()
