"""The package's files and their syntax trees, for the tests of this folder."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "fleet"


@cache
def files() -> dict[str, ast.Module]:
    """Every Python file of the package, by its path from the top, parsed."""
    found = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
    assert len(found) > 50
    return found


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every import of a tree as (module, name); name is "" for a plain import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield node.module or "", alias.name
