"""`fleet documents` and the tool that searches them, in a real home and a real fleet."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from support.commands import call, refused

from fleet import App, DialogAgent, Fleet, Message, Settings
from fleet.documents import search_documents
from fleet.documents.store import Documents, read_source

LEAVE = "# Leave\n\n## Days\n\nEverybody has 25 days of paid leave a year.\n\n## Sickness\n\nCall before nine.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "it").mkdir(parents=True)
    (docs / "leave.md").write_text(LEAVE, "utf-8")
    (docs / "it" / "laptops.txt").write_text("A new laptop comes every four years.\n", "utf-8")
    (docs / "it" / "picture.png").write_bytes(b"\x89PNG")
    (docs / ".hidden.md").write_text("# secret", "utf-8")
    return docs


def listed(home: Path) -> dict[str, int]:
    rows = map(json.loads, call("documents", "list", "--home", home, "--json").stdout.splitlines())
    return {row["name"]: row["sections"] for row in rows}


def test_a_folder_is_added_brought_up_to_date_and_removed(tmp_path, folder):
    home = tmp_path / "home"
    assert call("documents", "list", "--home", home).stdout == "no documents yet\n"
    assert not home.exists()
    assert call("documents", "add", folder, "--home", home).stdout == "2 added: 3 sections to search\n"
    assert listed(home) == {"docs/it/laptops.txt": 1, "docs/leave.md": 2}
    assert (home / "documents.db").stat().st_mode & 0o777 == 0o600
    (folder / "leave.md").write_text(LEAVE.replace("25 days", "30 days"), "utf-8")
    assert call("documents", "add", folder, "--home", home).stdout == "1 replaced, 1 unchanged: 3 sections to search\n"
    found = json.loads(
        call("documents", "search", "how many DAYS of leave?", "--home", home, "--json").stdout.splitlines()[0]
    )
    assert found == {
        "text": "Everybody has 30 days of paid leave a year.", "title": "Leave", "section": "Days",
        "document": "docs/leave.md",
    }  # fmt: skip
    assert "Leave / Days  docs/leave.md" in call("documents", "search", "paid", "--home", home).stdout
    assert call("documents", "remove", "docs/it", "--home", home).stdout == "removed docs/it/laptops.txt\n"
    assert call("documents", "search", "laptop", "--home", home).stdout == "nothing found\n"
    assert listed(home) == {"docs/leave.md": 2}


def test_what_cannot_be_added_is_one_line_and_nothing_of_it_is(tmp_path, folder):
    home = tmp_path / "home"
    bad = folder / "latin.md"
    bad.write_bytes(b"caf\xe9")
    assert refused(call("documents", "add", folder, "--home", home)) == f"{bad}: not UTF-8 text; nothing was added"
    assert "No such file or directory" in refused(call("documents", "add", folder / "none.md", "--home", home))
    assert "only .md, .markdown, .txt" in refused(call("documents", "add", folder / "it/picture.png", "--home", home))
    assert not home.exists()
    bad.unlink()
    call("documents", "add", folder / "leave.md", "--home", home)
    other = tmp_path / "leave.md"
    other.write_text("# Other", "utf-8")
    fresh = tmp_path / "fresh.txt"
    fresh.write_text("fresh", "utf-8")
    why = refused(call("documents", "add", fresh, other, "--home", home))
    assert why.startswith(f"leave.md is there already, from {folder / 'leave.md'}; `fleet documents remove leave.md`")
    why = refused(call("documents", "remove", "leave.md", "nothing.md", "--home", home))
    assert why.startswith("there is no document 'nothing.md'")
    assert listed(home) == {"leave.md": 2}


def test_a_file_that_is_no_index_or_a_newer_one_is_refused(tmp_path, folder):
    (tmp_path / "documents.db").write_bytes(b"no database at all, and long enough to be looked at" * 30)
    assert "file is not a database" in refused(call("documents", "add", folder, "--home", tmp_path))
    (tmp_path / "documents.db").unlink()
    with sqlite3.connect(tmp_path / "documents.db") as file:
        file.execute("PRAGMA user_version = 99")
        file.execute("CREATE TABLE later (x)")
    assert "written by a newer fleet" in refused(call("documents", "list", "--home", tmp_path))


@pytest.mark.parametrize("query", ['leave OR "', "title:leave NEAR(", "_ * ^", "", "?", "leave' --", "Ürlaub ß"])
def test_no_question_is_read_as_a_query_language(tmp_path, folder, query):
    documents = Documents(tmp_path)
    documents.add(read_source(folder))
    names = {found.document for found in documents.search(query)}
    assert names == ({"docs/leave.md"} if "leave" in query else set())


def test_words_that_stand_everywhere_find_nothing_by_themselves(tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"the page has the number n{number}", "utf-8")
    documents = Documents(tmp_path / "home")
    (tmp_path / "home").mkdir()
    documents.add(read_source(tmp_path))
    assert documents.search("what has the page") == []
    assert [found.title for found in documents.search("the page with the number n7")] == ["7"]


async def test_an_agent_looks_things_up_in_the_homes_documents(tmp_path, folder):
    agent = DialogAgent(role="handbook", description="Answers questions about leave", tools=[search_documents])
    async with Fleet(App(name="books", agents=[agent]), Settings(home=tmp_path)) as fleet:
        sent = await fleet.accept(Message("ana", "How many days of paid leave do I have?"))
        before = await fleet.reply_to(sent.message_id)
        Documents(tmp_path).add(read_source(folder))
        sent = await fleet.accept(Message("ben", "How many days of paid leave do I have?"))
        assert "Everybody has 25 days of paid leave a year." in str(await fleet.reply_to(sent.message_id))
    assert "25 days" not in str(before)
