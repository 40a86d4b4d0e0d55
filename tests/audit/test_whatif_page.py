"""The page of a what-if, where there are more agents than a matrix has room for."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from fleet.audit.comparison import Comparison
from fleet.audit.whatif_page import whatif_page


def test_what_differs_comes_first_and_what_is_the_same_is_summed() -> None:
    found = Comparison(same=60)
    found.confusion.update({(f"new agent_{each}", f"new agent_{each}"): 3 for each in range(13)})
    found.confusion.update(
        {("continue", "continue"): 21, ("continue", "new agent_1"): 2, ("new agent_2", "refused"): 5}
    )
    found.old.took_us = found.new.took_us = [1000]
    console = Console(file=StringIO(), width=100, highlight=False)
    with console.capture() as said:
        console.print(whatif_page(found, "What if: model m", note="mind this"))
    lines = [" ".join(line.split()) for line in said.get().splitlines()]
    assert lines[:2] == ["What if: model m", "mind this"]
    assert lines[4:9] == [
        "then now messages",
        "new agent_2 refused 5",
        "continue new agent_1 2",
        "continue continue 21",
        "new thread the same agent 39",
    ]
