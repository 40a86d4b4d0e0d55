"""Counted decisions as a page for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.audit.inert import name
from fleet.audit.spread import Spread
from fleet.audit.stats import STAGES, Calls, Day, Stats
from fleet.audit.wording import duration, money
from fleet.clock import iso
from fleet.llm.prices import known

__all__ = ["DAYS_SHOWN", "stats_page"]

DAYS_SHOWN = 31  # the last so many; the others are in the JSON
_ACTIONS = {
    "dispatch_to": "continued a thread",
    "start_new_thread": "started a new one",
    "drop": "dropped by a gate",
    "error": "error",
    "human": "left to a person",
}
_PERCENTS = (50, 90, 95, 99)


def stats_page(found: Stats) -> RenderableType:
    """Volumes and rates, verdicts, agents, latency, then calls, tokens and cost by model and by day."""
    parts: list[RenderableType] = [_summary(found), _notes(found)]
    if found.verdicts:
        parts += [Text(), _verdicts(found)]
    if found.agents:
        parts += [Text(), _agents(found)]
    if found.stages:
        parts += [Text(), _latency(found)]
    if found.whole.calls:
        parts += [Text(), _models(found.whole)]
    parts += [Text(), _days(found)]
    if any(_costly(calls) for calls in found.whole.calls.values()):
        parts += [Text(), _costs(found)]
    if not found.answering:
        parts += [Text(), Text("The calls of workers' models are left out: the filter is about decisions.", "dim")]
    if len(found.days) > DAYS_SHOWN:
        earlier = len(found.days) - DAYS_SHOWN
        parts += [Text(), Text(f"{earlier} earlier days are not shown: --until, or --json", "dim")]
    return Group(*parts)


def _summary(found: Stats) -> Table:
    whole = found.whole
    table = _table("Decisions", "count", "share")
    for action, words in _ACTIONS.items():
        if count := whole.actions[action]:
            table.add_row(words, _count(count), _percent(count, whole.decisions))
    table.add_row(Text("in all", "bold"), Text(_count(whole.decisions), "bold"), "")
    if whole.joined:
        table.add_row("messages that joined one of them", _count(whole.joined), "")
    new, continued = whole.actions["start_new_thread"], whole.actions["dispatch_to"]
    if new and continued:
        table.add_row("continued to each new one", f"{continued / new:.2f}", "")
    for by, words in (("model", "decided by a model"), ("fallback", "by a fallback"), ("gate", "by a gate")):
        if found.by[by]:
            table.add_row(words, _count(found.by[by]), _percent(found.by[by], whole.decisions))
    if whole.judged:
        table.add_row(
            "asked again after a refused answer", _count(whole.retried), f"{_percent(whole.retried, whole.judged)} *"
        )
        rungs = ", ".join(f"{rung} {_count(count)}" for rung, count in whole.fallbacks.most_common())
        words = f"fallback ({rungs})" if rungs else "fallback"
        table.add_row(words, _count(whole.fallen_back), f"{_percent(whole.fallen_back, whole.judged)} *")
    return table


def _notes(found: Stats) -> Text:
    notes = [] if found.first is None or found.last is None else [f"from {iso(found.first)} to {iso(found.last)}"]
    notes += ["* of those that no gate settled"] if found.whole.judged else []
    return Text("; ".join(notes), "dim")


def _verdicts(found: Stats) -> Table:
    table = _table("Verdicts on the router's answers", "answers", "share")
    for verdict, count in found.verdicts.most_common():
        words = {"ok": "accepted", "error": "no answer (error)"}.get(verdict, name(verdict))
        table.add_row(Text(words), _count(count), _percent(count, found.verdicts.total()))
    return table


def _agents(found: Stats) -> Table:
    table = _table("Agents", "decisions", "share", "new", "continued")
    routed = sum(count.total() for count in found.agents.values())
    for agent, count in sorted(found.agents.items(), key=lambda each: (-each[1].total(), each[0])):
        kinds = (_count(count["start_new_thread"]), _count(count["dispatch_to"]))
        table.add_row(Text(name(agent)), _count(count.total()), _percent(count.total(), routed), *kinds)
    return table


def _latency(found: Stats) -> Table:
    table = _table("Latency of routing", "decisions", *(f"p{percent}" for percent in _PERCENTS), "longest")
    known_ = [stage for stage in STAGES if stage in found.stages]
    for stage in (*known_, *sorted(set(found.stages).difference(known_))):
        table.add_row(Text(name(stage)), _count(found.stages[stage].n), *_spread(found.stages[stage]))
    total = found.whole.latency
    table.add_row(Text("all of it", "bold"), _count(total.n), *_spread(total))
    return table


def _models(whole: Day) -> Table:
    table = _table("Models", "calls", "accepted", "p50", "p95", "cost", words=("for",))
    for (what, model), calls in _by_purpose(whole):
        accepted = _percent(calls.accepted, calls.calls) if what == "routing" else ""
        waits = (_duration(calls.latency.percentile(percent)) for percent in (50, 95))
        table.add_row(Text(name(model)), what, _count(calls.calls), accepted, *waits, _cost(model, calls))
    return table


def _days(found: Stats) -> Table:
    table = _table("Day (UTC)", "decisions", "new", "continued", "again", "fallback", "p95", "cost")
    for date, day in _shown(found):
        new, continued = day.actions["start_new_thread"], day.actions["dispatch_to"]
        rates = (_percent(part, day.judged) for part in (day.retried, day.fallen_back))
        slow = _duration(day.latency.percentile(95))
        cost = sum(calls.cost_usd for calls in day.calls.values())
        table.add_row(date, _count(day.decisions), _count(new), _count(continued), *rates, slow, money(cost))
    return table


def _costs(found: Stats) -> Table:
    """In all, then by day; what wrote nothing to a cache has no column for it."""
    written = any(calls.cache_write_tokens for calls in found.whole.calls.values())
    columns = ("in", "cached", *(("written",) if written else ()), "out")
    table = _table("Tokens", *columns, "cost", words=("model", "for"))
    for date, day in (("in all", found.whole), *_shown(found)):
        costly = [each for each in _by_purpose(day) if _costly(each[1])]
        for number, ((what, model), calls) in enumerate(costly):
            counts = (calls.input_tokens, calls.cache_read_tokens, calls.cache_write_tokens, calls.output_tokens)
            tokens = [_short(count) for place, count in enumerate(counts) if written or place != 2]
            words = (date if not number else "", Text(name(model)), what)
            table.add_row(*words, *tokens, _cost(model, calls))
    return table


def _table(title: str, *columns: str, words: Sequence[str] = ()) -> Table:
    """A table whose first columns are words, the others numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold cyan")
    table.add_column(title, overflow="fold", min_width=10)
    for column in words:
        table.add_column(column, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _shown(found: Stats) -> Sequence[tuple[str, Day]]:
    return list(found.days.items())[-DAYS_SHOWN:]


def _by_purpose(day: Day) -> Iterable[tuple[tuple[str, str], Calls]]:
    """Routing first, then the others by name; the dearest model first."""
    return sorted(day.calls.items(), key=lambda each: (each[0][0] != "routing", -each[1].cost_nano_usd, each[0]))


def _costly(calls: Calls) -> bool:
    """Whether there is anything to tell: offline models count no tokens and cost nothing."""
    return bool(calls.cost_nano_usd or calls.input_tokens or calls.output_tokens)


def _cost(model: str, calls: Calls) -> str:
    return money(calls.cost_usd) if calls.cost_nano_usd or known(model) else "no list price"


def _spread(spread: Spread) -> Iterator[str]:
    yield from (_duration(spread.percentile(percent)) for percent in _PERCENTS)
    yield _duration(spread.largest)


def _duration(us: int | None) -> str:
    return "-" if us is None else duration(us)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _short(count: int) -> str:
    """A count of tokens, to three digits where there are many."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 999.5 * size else f"{count / size:.0f} {unit}"
    return str(count)


def _count(number: int) -> str:
    return f"{number:,}"
