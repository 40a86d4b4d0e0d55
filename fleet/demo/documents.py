"""The handbook: pages that ship with the demo, searched with SQLite's full-text index in memory."""

from __future__ import annotations

import re
import sqlite3
from functools import cache
from importlib.resources import files

from fleet import tool

__all__ = ["search_documents"]

_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    _WORD.findall(
        "a an the i you we it is are was be to of in on at for and or with my me our do does did can could would will "
        "please that this have has what which how there any when where who if not about get say says handbook"
    )
)
# Words that people use for what the pages call otherwise.
_ALSO = {"holiday": "leave", "vacation": "leave", "salary": "payroll", "wage": "payroll", "paid": "payroll pay",
         "ill": "sick", "reimbursed": "expenses", "reimbursement": "expenses", "home": "remote", "swap": "shift",
         "laptop": "computer", "pto": "leave"}  # fmt: skip


@tool(effect="read")
def search_documents(query: str) -> list[dict[str, str]]:
    """Search the handbook: leave, sick days, shifts, expenses, travel, remote work, payroll, IT help.

    Args:
        query: the question, or the words to look for
    """
    said = [word for word in _WORD.findall(query.lower()) if word not in _COMMON]
    terms = list(dict.fromkeys(each for word in said for each in (word, *_ALSO.get(word, "").split()) if each))
    if not terms:
        return []
    match = " OR ".join(f'"{term}"' for term in terms[:40])
    rows = _index().execute(
        "SELECT title, section, body FROM pages WHERE pages MATCH ? ORDER BY bm25(pages, 3.0, 4.0, 1.0), rowid LIMIT 3",
        (match,),
    )
    return [{"text": body, "title": title, "section": section} for title, section, body in rows]


@cache
def _index() -> sqlite3.Connection:
    """Every section of every page, indexed; English words by their stems."""
    index = sqlite3.connect(":memory:", check_same_thread=False)
    index.execute("CREATE VIRTUAL TABLE pages USING fts5(title, section, body, tokenize = 'porter unicode61')")
    folder = files("fleet.demo").joinpath("documents")
    for page in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if page.name.endswith(".md"):
            head, *sections = re.split(r"^## ", page.read_text("utf-8"), flags=re.M)
            title = head.strip().removeprefix("# ").splitlines()[0]
            for section in sections:
                name, _, body = section.partition("\n")
                index.execute("INSERT INTO pages VALUES (?, ?, ?)", (title, name.strip(), " ".join(body.split())))
    return index
