"""A graph that grew event by event equals one rebuilt from nothing, whatever happened and whenever it was committed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.story import Story, rebuilt, reducer_of

from fleet.graph.checkpoints import Graph
from fleet.graph.recent import recent_ids
from fleet.graph.records import RECENT_KEPT
from fleet.ledger.sqlite import SqliteLedger

USERS = ("ana", "bo", "ĉi")
ROLES = ("helper", "billing")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=200)
STEPS = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(USERS), st.sampled_from(ROLES), TEXTS),
    st.tuples(st.just("go_on"), st.integers(0, 30), TEXTS),
    st.tuples(st.just("turn"), st.integers(0, 30), TEXTS),
    st.tuples(st.just("tools"), st.integers(0, 30), st.integers(1, 3), st.integers(0, 4), TEXTS),
    st.tuples(st.just("open"), st.integers(0, 30)),
    st.tuples(st.just("retire"), st.sampled_from(ROLES)),
    st.tuples(st.just("declare"), st.sampled_from(ROLES)),
    st.tuples(st.just("commit")),
    st.tuples(st.just("reopen")),
)


def play(story: Story, step: tuple) -> None:
    """One step of a history, as far as it is possible in it."""
    what, *given_ = step
    if what == "start":
        user, role, text = given_
        story.start(user, text, role=role)
        return
    if what in ("retire", "declare"):
        getattr(story, what)(given_[0])
        return
    if not story.threads:
        return
    thread = list(story.threads)[given_[0] % len(story.threads)]
    known = story.threads[thread]
    if what == "go_on":
        story.go_on(thread, given_[1])
        return
    if not known["open"]:
        if not known["waiting"]:
            return
        story.begin(thread)
    if what == "turn":
        story.answer(thread, {"type": "text", "text": given_[1]})
        story.end(thread, given_[1])
        story.deliver(thread)
    elif what == "tools":
        calls, answered, text = given_[1:]
        ids = [story.next("call") for _ in range(calls)]
        story.call(thread, *ids)
        story.intend(thread, ids[0])
        for call in ids[:answered]:
            story.result(thread, call, text, error=len(text) % 2 == 0, by=len(text) % 3)
        if answered < calls:
            story.end(thread, "I stopped.", "blocked")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, max_size=40))
def test_incremental_is_rebuilt(steps):
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        with SqliteLedger.open(folder / "ledger.db") as ledger:
            story = Story(ledger)
            for role in ROLES:
                story.declare(role)
            graph = Graph(folder / "graph", ledger, reducer_of)
            try:
                for step in steps:
                    if step[0] == "commit":
                        graph.checkpoint()
                    elif step[0] == "reopen":
                        graph.close()
                        graph = Graph(folder / "graph", ledger, reducer_of)
                    else:
                        play(story, step)
                        graph.catch_up()
                for user, recent in story.recent.items():
                    assert recent_ids(graph.root.users[user], RECENT_KEPT) == recent[:RECENT_KEPT]
                for thread, known in story.threads.items():
                    job = graph.root.jobs[known["job"]]
                    assert list(job.turn_ids) == known["open"], thread
                    assert len(job.waiting) == len(known["waiting"]), thread
                    assert job.version == ledger.version(f"job:{job.id}")
                digest = graph.digest()
            finally:
                graph.close()
            assert rebuilt(folder / "again", ledger) == digest
