"""The graph of a home that was taken over: a folder of its own, since the worker before may still write to its file."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from fleet.graph.at_rest import at_rest
from fleet.graph.files import GraphFiles
from fleet.runtime.home import Home

__all__ = ["new_graph_folder", "remove_old_graphs"]


def new_graph_folder(home: Home) -> Path:
    """The folder for a worker that takes over.

    It holds a copy of the graph, if nobody is writing to that just now, and gets the kept copy; else it is rebuilt.
    """
    last, new = GraphFiles(home.graph_folder), GraphFiles(home.next_graph_folder)
    new.live.mkdir(mode=0o700)
    with at_rest(last.live, wait=False) as still, contextlib.suppress(OSError):  # no room: a part is as good as none
        if still:
            for path in last.live.iterdir():
                if path.suffix != ".lock":
                    shutil.copyfile(path, new.live / path.name)
    with at_rest(last.kept, wait=False) as still:
        if still and last.kept.is_dir():
            last.kept.rename(new.kept)
    return new.live


def remove_old_graphs(home: Home) -> None:
    """Remove what earlier workers had the graph in; one that still has it open keeps it, for itself, to its end."""
    today = home.graph_folder.name
    for path in home.path.glob("graph*"):
        if not path.name.startswith(f"{today}.") and path.name != today:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
