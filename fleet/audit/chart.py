"""Counted decisions as one picture: volumes, rates, latency and cost by day. Needs the extra `plot` (matplotlib)."""

from __future__ import annotations

from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

from fleet.audit.inert import visible
from fleet.audit.picture import picture
from fleet.audit.stats import STAGES, Stats

__all__ = ["draw"]

_KINDS = (("dispatch_to", "continued"), ("start_new_thread", "new"), ("drop", "dropped"), ("error", "error"),
          ("human", "left to a person"))  # fmt: skip
_MODELS = 7  # drawn by name; the cheaper ones together
_MS = 1_000
_ROOM = 1.3  # above the tallest bar, for the legend


def draw(found: Stats, path: Path) -> None:
    """Draw the stats into a file, whole or not at all; the same stats give the same picture. Raises: as `picture`."""
    with picture(path, (12, 8)) as figure:
        (volumes, rates), (latency, costs) = figure.subplots(2, 2)
        days = [date.fromisoformat(each) for each in found.days]
        _volumes(volumes, found, days)
        _rates(rates, found, days)
        _latency(latency, found)
        _costs(costs, found, days)
        for axes in (volumes, rates, costs):
            _dates(axes, days)


def _volumes(axes: Any, found: Stats, days: list[date]) -> None:
    bottom = [0] * len(days)
    for action, words in _KINDS:
        counts = [day.actions[action] for day in found.days.values()]
        if any(counts):
            axes.bar(days, counts, bottom=bottom, label=words)
            bottom = [below + count for below, count in zip(bottom, counts, strict=True)]
    axes.set_ylim(0, _ROOM * max(bottom, default=0) or 1)
    _titled(axes, f"{found.whole.decisions:,} decisions", "a day")


def _rates(axes: Any, found: Stats, days: list[date]) -> None:
    for words, part in (("asked again", "retried"), ("fallback", "fallen_back")):
        shares = [100 * getattr(day, part) / day.judged if day.judged else None for day in found.days.values()]
        if any(share is not None for share in shares):
            axes.plot(days, [float("nan") if share is None else share for share in shares], "o-", label=words)
    axes.set_ylim(bottom=0)
    _titled(axes, "asked again after a refused answer, and fallbacks", "% of those that no gate settled")


def _latency(axes: Any, found: Stats) -> None:
    named = [(stage, found.stages[stage]) for stage in STAGES if stage in found.stages]
    named.append(("all of it", found.whole.latency))
    for place, (percent, width) in enumerate(((50, 0.27), (95, 0.27), (99, 0.27))):
        heights = [max(spread.percentile(percent) or 0, 1) / _MS for _, spread in named]
        axes.bar([each + (place - 1) * width for each in range(len(named))], heights, width, label=f"p{percent}")
    axes.set_xticks(range(len(named)), [stage for stage, _ in named])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    _titled(axes, "latency of routing", "ms")


def _costs(axes: Any, found: Stats, days: list[date]) -> None:
    dearest = sorted(found.whole.calls, key=lambda each: -found.whole.calls[each].cost_nano_usd)
    paid = [each for each in dearest if found.whole.calls[each].cost_nano_usd]
    groups = [([key], f"{key[0]}: {visible(key[1])}") for key in paid[:_MODELS]]
    groups += [(paid[_MODELS:], f"{len(paid) - _MODELS} others")] if len(paid) > _MODELS else []
    bottom = [0.0] * len(days)
    for keys, words in groups:
        spent = [sum(day.calls[key].cost_usd for key in keys if key in day.calls) for day in found.days.values()]
        axes.bar(days, spent, bottom=bottom, label=words)
        bottom = [below + more for below, more in zip(bottom, spent, strict=True)]
    axes.set_ylim(0, _ROOM * max(bottom, default=0.0) or 1)
    whole = sum(calls.cost_usd for calls in found.whole.calls.values())
    _titled(axes, f"cost of models, ${whole:,.2f} at list prices", "US dollars a day")


def _titled(axes: Any, title: str, unit: str) -> None:
    axes.set_title(title)
    axes.set_ylabel(unit)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(ncols=2, fontsize="small")


def _dates(axes: Any, days: list[date]) -> None:
    dates: Any = import_module("matplotlib.dates")
    if days:
        locator = dates.AutoDateLocator(minticks=1, maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
