"""Records as rows of the graph's file: what was written is what is read, however often and however long."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.story import rebuilt

from fleet.errors import GraphError
from fleet.graph import living
from fleet.graph.db import Database
from fleet.graph.living import LivingRoot
from fleet.graph.numbers import Numbers
from fleet.graph.records import FleetRoot, JobRecord, UserRecord
from fleet.graph.shelf import Shelved


class Kept:
    """A graph of users alone, opened, written and closed again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self) -> None:
        self.database = Database(self.folder)
        self.root = LivingRoot(FleetRoot())

    def reopen(self) -> LivingRoot:
        self.close()
        self.open()
        return self.root

    def close(self) -> None:
        self.root.let_go()
        self.database.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    graph = Kept(tmp_path / "graph")
    yield graph
    graph.close()


def test_what_was_changed_is_what_is_read_after_many_commits(kept, monkeypatch):
    monkeypatch.setattr(living, "_AT_HAND", 50)
    some, model = random.Random(7), {}
    for turn in range(40):
        for _ in range(some.choice([1, 30, 300])):
            if model and some.random() < 0.5:
                key = some.choice(list(model))
                user = kept.root.changing.users[key]
            else:
                key = f"user {len(model)}"
                user = kept.root.changing.users[key] = UserRecord(key)
            user.language = some.choice(["en", "ĉ\0'\"\\ 漢", "x" * 3000])
            user.recent = [f"thr_{n}" for n in range(some.choice([0, 3, 64]))]
            model[key] = (user.language, list(user.recent))
        kept.root.write()
        kept.database.commit()
        if turn % 10 == 9:
            kept.reopen()
    root = kept.reopen()
    assert len(root.users) == len(model) > 2000  # some pages
    assert {key: (root.users[key].language, root.users[key].recent) for key in model} == model
    assert root.users.get("nobody") is None
    with pytest.raises(KeyError):
        root.changing.users["nobody"]


def test_a_record_in_somebodys_hands_is_the_one_that_is_changed(kept, monkeypatch):
    monkeypatch.setattr(living, "_AT_HAND", 2)
    users = kept.root.changing.users
    for n in range(9):
        users[str(n)] = UserRecord(str(n))
    kept.root.write()
    held = kept.root.users["3"]
    for n in range(9):
        kept.root.users[str(n)]
    users["3"].messages += 1
    assert held.messages == 1
    assert kept.root.users["3"] is held


def test_what_is_only_read_is_not_written(kept):
    kept.root.changing.users["a"] = UserRecord("a")
    kept.root.write()
    kept.root.users["a"].messages = 5  # nobody may do this: it is not apply
    kept.root.write()
    assert kept.reopen().users["a"].messages == 0


def test_a_field_that_came_later_has_its_default_in_older_rows(kept):
    kept.root.changing.jobs["j"] = JobRecord("j", "t", "helper", None, turn=4)
    kept.root.changing.jobs["k"] = JobRecord("k", "t", "helper", 2, waits_since=7)
    kept.root.write()
    jobs = kept.root.durable.jobs
    newest = jobs.names.pop()  # as if it had been written before the class had this field
    rows, row = jobs.pages[0], JobRecord("j", "t", "helper", None)
    assert rows[0].startswith(b"[")
    rows[0] = rows[0][: rows[0].rindex(b",")] + b"]"
    digest = Database.digest(jobs)
    root = kept.reopen()
    assert (root.jobs["j"].turn, getattr(root.jobs["j"], newest)) == (4, getattr(row, newest))
    root.changing.jobs["j"].turn = 5
    root.write()
    assert root.durable.jobs.names[-1] == newest
    root.changing.jobs["j"].turn = 4
    root.write()
    assert Database.digest(root.durable.jobs) == digest


def test_a_graph_of_another_version_is_made_again(story, opened, tmp_path):
    thread_id = story.start()
    graph = opened()
    graph.root.durable.threads.names.append("colour")
    graph.apply(story.ledger.read(after=graph.root.applied))
    story.go_on(thread_id)
    graph.catch_up()
    graph = opened()
    assert graph.opened[0] == (
        "set the graph file aside: it was written by another version of fleet: ThreadRecord has colour"
    )
    assert graph.opened_by.startswith("rebuilt from")
    digest = graph.digest()
    opened.close()
    assert rebuilt(tmp_path / "again", story.ledger) == digest


def test_a_graph_in_which_a_field_is_missing_is_made_again(story, opened):
    story.start()
    graph = opened()
    del graph.root.durable.threads.runs
    story.start()
    graph.catch_up()
    assert opened().opened[0].startswith("set the graph file aside: it was written by another version of fleet: ")
    assert opened.now.opened_by.startswith("rebuilt from")


def test_a_digest_tells_of_a_record_that_its_id_does_not_lead_to(kept):
    for key in ("a", "b"):
        kept.root.changing.users[key] = UserRecord(key)
    kept.root.write()
    users = kept.root.durable.users
    Numbers(users.runs).enter({"c": 1})
    with pytest.raises(GraphError, match="3 ids of 2 rows of UserRecord"):
        Database.digest(kept.root.durable)
    users.runs.pop()
    Numbers(users.runs).enter({"b": 1})
    with pytest.raises(GraphError, match="the UserRecord in row 0 cannot be found by its id"):
        Database.digest(kept.root.durable)


def test_records_are_told_in_the_order_in_which_they_were_made(kept):
    users = kept.root.changing.users
    for start in (0, 5, 30):  # some of them are written together, some alone
        for n in range(start, start + 25):
            if str(n) not in {user.id for user in Shelved(kept.root.durable.users, UserRecord)}:
                users[str(n)] = UserRecord(str(n))
        kept.root.write()
        users[str(start + 3)].threads = start
        users[str(start + 20)].language = "漢" * 200
        kept.root.write()
    told = list(Shelved(kept.reopen().durable.users, UserRecord))
    assert [user.id for user in told] == [str(n) for n in range(55)]
    assert [user.place for user in told] == list(range(55))
    assert {user.id: user.threads for user in told if user.threads} == {"8": 5, "33": 30}
    assert [user.id for user in told if user.language] == ["20", "25", "50"]
