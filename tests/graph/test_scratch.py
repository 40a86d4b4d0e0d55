"""Records in memory alone come out as the graph's do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.audited import make_day

from fleet.graph.apply import change
from fleet.graph.checkpoints import Graph
from fleet.graph.scratch import ScratchRoot
from fleet.ledger.events import AppEventRecorded
from fleet.runtime.home import Home
from fleet.runtime.reducing import reducer_of

FIELDS = {
    "users": ("id", "language", "threads", "messages", "recent"),
    "threads": ("id", "user", "agent", "name", "language", "status", "summary", "latest_activity_at",
                "last_assistant_message", "messages"),
    "jobs": ("id", "thread", "agent", "status", "turn", "tail", "waiting", "turn_ids", "stop_reason"),
}  # fmt: skip


def plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, type(None))) else list(value)


def test_a_scratch_root_has_what_the_graph_has(tmp_path: Path) -> None:
    home = make_day(tmp_path / "home")
    scratch = ScratchRoot()
    with Home(home).read_ledger() as ledger:
        for stored in ledger.read():
            if not isinstance(stored.event, AppEventRecorded):
                change(scratch, stored)
        graph = Graph(tmp_path / "graph", ledger, reducer_of)
        try:
            for kind, names in FIELDS.items():
                durable, folded = getattr(graph.root, kind), getattr(scratch, kind)
                assert len(durable) == len(folded)
                assert len(folded) > 3
                for key in folded:
                    for name in names:
                        assert plain(getattr(folded[key], name)) == plain(getattr(durable[key], name)), (key, name)
        finally:
            graph.close()
