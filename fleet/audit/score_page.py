"""The score of a run over labelled cases as a page for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleet.audit.inert import name
from fleet.audit.scoring import Score
from fleet.audit.wording import money

__all__ = ["score_page"]


def score_page(score: Score, model: str) -> RenderableType:
    """The score of one run: over all, then per stratum."""
    whole = Table(box=None, pad_edge=False, show_header=False)
    whole.add_column()
    whole.add_column(justify="right")
    rows = (
        ("cases", str(score.n)),
        ("joint accuracy", _percent(score.joint_accuracy)),
        ("action accuracy", _percent(score.action_accuracy)),
        ("agent accuracy given new", _percent(score.agent_accuracy_given_new)),
        ("invalid answers", str(score.invalid_answers)),
        ("latency p50", f"{score.p50_ms:.1f} ms"),
        ("latency p95", f"{score.p95_ms:.1f} ms"),
        ("cost", money(score.cost_usd)),
    )
    for label, value in rows:
        whole.add_row(Text(label), Text(value))
    strata = Table(box=None, pad_edge=False, header_style="bold cyan")
    strata.add_column("stratum", overflow="fold")
    strata.add_column("cases", justify="right")
    strata.add_column("joint accuracy", justify="right")
    for stratum, (n, share) in score.strata.items():
        strata.add_row(Text(name(stratum)), Text(str(n)), Text(_percent(share)))
    return Group(Text(f"{name(model)} on labelled cases", style="bold cyan"), whole, Text(), strata)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
