"""The score of a run over labelled cases as a page for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.audit.inert import inert, name
from fleet.audit.scoring import Confusion, Score, interval
from fleet.audit.wording import money

__all__ = ["score_page"]

_CONFUSIONS = 8
_LIMIT = 100  # characters of a message


def score_page(score: Score, model: str) -> RenderableType:
    """The score of one run: over all, then per stratum, then what went wrong most often."""
    whole = Table(box=None, pad_edge=False, show_header=False)
    whole.add_column()
    whole.add_column(justify="right")
    whole.add_column()
    sure = score.calibration
    rows = [
        ("cases", str(score.n), ""),
        ("joint accuracy", _percent(score.joint_accuracy), _interval(score.joint_accuracy, score.n)),
        ("action accuracy", _percent(score.action_accuracy), _interval(score.action_accuracy, score.n)),
        ("agent accuracy given new", _percent(score.agent_accuracy_given_new), ""),
        ("invalid answers", str(score.invalid_answers), ""),
        ("expected calibration error", f"{sure.error:.3f}" if sure else "-", f"over {sure.n}" if sure else "not said"),
        ("latency p50", f"{score.p50_ms:.1f} ms", ""),
        ("latency p95", f"{score.p95_ms:.1f} ms", ""),
        ("cost", money(score.cost_usd), ""),
    ]
    for row in rows:
        whole.add_row(*map(Text, row))
    strata = Table(box=None, pad_edge=False, header_style="bold cyan")
    strata.add_column("stratum", overflow="fold")
    for title in ("cases", "joint accuracy", "95 % interval"):
        strata.add_column(title, justify="right")
    for stratum, (n, share) in score.strata.items():
        strata.add_row(Text(name(stratum)), Text(str(n)), Text(_percent(share)), Text(_interval(share, n)))
    parts: list[RenderableType] = [Text(f"{name(model)} on labelled cases", style="bold cyan"), whole, Text(), strata]
    return Group(*parts, *_wrong(score.confusions))


def _wrong(confusions: tuple[Confusion, ...]) -> list[Text]:
    """The commonest confusions, each with the messages that the model was surest of."""
    if not confusions:
        return []
    lines = [Text(), Text("worst confusions", style="bold cyan")]
    for each in confusions[:_CONFUSIONS]:
        lines.append(Text(f"{each.n} × {name(each.wanted)} → {name(each.chosen)}", style="yellow"))
        for case in each.worst:
            sure = "" if case.confidence is None else f", sure to {case.confidence:.2f}"
            lines.append(Text(f"    {inert(case.message, _LIMIT)}  ({name(case.case_id)}{sure})"))
    left = confusions[_CONFUSIONS:]
    if left:
        lines.append(
            Text(f"{len(left)} more kinds, {sum(each.n for each in left)} cases: --json has them", style="dim")
        )
    return lines


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _interval(share: float | None, n: int) -> str:
    if share is None:
        return ""
    low, high = interval(share, n)
    return f"{100 * low:.1f} to {100 * high:.1f} %"
