"""Where a home's graph lies, and the copies beside it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GraphFiles"]


@dataclass(frozen=True)
class GraphFiles:
    """The folders of one graph, each with a file of its own. All but `live` may be missing or removed at any time."""

    live: Path

    @property
    def kept(self) -> Path:
        """The kept copy: a graph that opened, to go on from should the live file be damaged."""
        return self.live.with_name(f"{self.live.name}.kept")

    @property
    def fresh(self) -> Path:
        """A file of few commits that has opened and taken a trial write, for the worker to go on in."""
        return self.live.with_name(f"{self.live.name}.fresh")

    @property
    def work(self) -> Path:
        """Where copies are made; what is left there is of no use."""
        return self.live.with_name(f"{self.live.name}.work")

    @property
    def aside(self) -> Path:
        """The last graph that could not be used, for who wants to know why."""
        return self.live.with_name(f"{self.live.name}.aside")

    @property
    def copies(self) -> tuple[Path, ...]:
        """Every folder but the live one: what may hold words of users besides the ledger and the graph."""
        return (self.kept, self.fresh, self.work, self.aside)

    def forget_copies(self) -> None:
        """Remove the kept copy, the fresh file and what was begun of them."""
        for folder in (self.kept, self.fresh, self.work):
            shutil.rmtree(folder, ignore_errors=True)

    def set_aside(self) -> None:
        """Move what is in the live folder to `aside`."""
        self.aside.mkdir(mode=0o700, exist_ok=True)
        for path in self.live.iterdir():
            path.replace(self.aside / path.name)
