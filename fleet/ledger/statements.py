"""SQL for many rows in few steps.

Python's sqlite3 lets go of the interpreter lock around each step of a statement, and a thread beside a busy event
loop waits up to 5 ms to get it back: 320 rows written one by one in such a thread took 310 ms, in statements of 64
rows 60 ms. So rows are written, and names looked up, in statements of up to 64.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

__all__ = ["delete", "insert", "lookup"]


def insert(connection: sqlite3.Connection, head: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, all of one width; `head` is the statement up to VALUES."""
    for part in _parts(rows):
        sql = _insert_sql(head, len(part[0]), len(part))
        connection.execute(sql, [value for row in part for value in row])


def delete(connection: sqlite3.Connection, head: str, fixed: Any, keys: Sequence[Any]) -> None:
    """Delete by key; `head` is the statement up to the key's column, and takes `fixed` as its first value.

    Not by row values, (a, b) IN (VALUES …): SQLite 3.40 reads the whole table for those.
    """
    for part in _parts(keys):
        connection.execute(_delete_sql(head, len(part)), (fixed, *part))


def lookup(connection: sqlite3.Connection, query: str, keys: Sequence[Any]) -> dict[Any, tuple[int, ...]]:
    """What `query` finds for each key: the numbers after its index; keys not found are left out.

    `query` joins `want(i, key)` and gives one text: group_concat over `i`, or over `i || ' ' || number …`.
    """
    found: dict[Any, tuple[int, ...]] = {}
    for part in _parts(keys):
        (text,) = connection.execute(_lookup_sql(query, len(part)), part).fetchone()
        for item in text.split(",") if text else ():
            index, *numbers = map(int, item.split())
            found[part[index]] = tuple(numbers)
    return found


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The rows in parts of 64, 32, or at most 16: few steps, and few enough statements that all stay prepared.

    64 rows of 10 columns stay below the smallest limit of values in a statement that SQLite ever had, 999.
    """
    start, left = 0, len(rows)
    while left:
        size = 64 if left >= 64 else 32 if left >= 32 else min(left, 16)
        yield rows[start : start + size]
        start += size
        left -= size


@cache
def _insert_sql(head: str, width: int, count: int) -> str:
    return f"{head} VALUES {', '.join([_places(width)] * count)}"


@cache
def _delete_sql(head: str, count: int) -> str:
    return f"{head} IN {_places(count)}"


def _places(count: int) -> str:
    return "(" + ", ".join("?" * count) + ")"


@cache
def _lookup_sql(query: str, count: int) -> str:
    wanted = ", ".join(f"({index}, ?)" for index in range(count))
    return f"WITH want(i, key) AS (VALUES {wanted}) {query}"
