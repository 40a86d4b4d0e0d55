"""What each event does to the graph."""

from __future__ import annotations

import json

import pytest

from fleet.errors import GraphError
from fleet.graph.apply import apply
from fleet.graph.recent import recent_ids
from fleet.graph.records import RECENT_KEPT, TAIL_KEPT
from fleet.graph.tail import unanswered_calls
from fleet.ledger.base import Stored
from fleet.ledger.events import Decision, FleetStarted, ReplyFailed


def said(job):
    """The conversation as (role, text or block types)."""
    entries = [json.loads(entry) for entry in list(job.tail)]
    return [
        (e["role"], e["content"] if isinstance(e["content"], str) else [b["type"] for b in e["content"]])
        for e in entries
    ]


def test_a_declared_agent_is_in_the_map_that_root_and_dispatcher_share(story, opened):
    story.declare("billing", "supervised")
    story.declare("dispatcher", "dispatcher")
    root = opened().root
    assert sorted(root.task_agents) == ["billing", "helper"]
    assert root.dispatcher.task_agents["billing"].kind == "supervised"
    assert root.dispatcher.definition
    story.retire("billing")
    opened.now.catch_up()
    assert root.task_agents["billing"].retired
    story.declare("billing", definition="two")
    opened.now.catch_up()
    assert not root.task_agents["billing"].retired
    assert root.task_agents["billing"].kind == "dialog"


def test_an_accepted_message_makes_its_user_known(story, opened):
    story.accept("ana")
    story.accept("ana")
    user = opened().root.users["ana"]
    assert (user.messages, user.threads, list(user.recent)) == (2, 0, [])


def test_a_new_thread_has_its_job_and_its_place(story, opened):
    thread_id = story.start(text="Can I swap Friday?", name="Swap", language="eo", default_example_id=3)
    root = opened().root
    thread = root.threads[thread_id]
    job = root.jobs[thread.job]
    assert (thread.user, thread.agent, thread.name, thread.language) == ("ana", "helper", "Swap", "eo")
    assert (thread.status, thread.messages, thread.summary) == ("working", 1, "User: Can I swap Friday?")
    assert thread.created_at == thread.latest_activity_at > 0
    assert (job.thread, job.agent, job.default_example_id, job.turn) == (thread_id, "helper", 3, 0)
    assert [json.loads(each)["text"] for each in job.waiting] == ["Can I swap Friday?"]
    assert (root.users["ana"].language, root.users["ana"].threads) == ("eo", 1)
    assert root.task_agents["helper"].threads == 1
    assert root.dispatcher.decided == 1


def test_decisions_without_a_thread_count_and_change_nothing_else(story, opened):
    for outcome in ("drop", "error", "human"):
        story.decide(story.accept(), Decision(by="gate", outcome=outcome))
    root = opened().root
    assert root.dispatcher.decided == 3
    assert not root.threads
    assert not root.jobs


def test_a_turn_takes_up_what_waits_and_later_messages_wait_for_the_next(story, opened):
    thread_id = story.start(text="one")
    story.go_on(thread_id, "two")
    story.begin(thread_id)
    story.go_on(thread_id, "three")
    root = opened().root
    job = root.jobs[root.threads[thread_id].job]
    assert said(job) == [("user", "one\ntwo")]
    assert list(job.turn_ids) == story.threads[thread_id]["open"]
    assert [json.loads(each)["text"] for each in job.waiting] == ["three"]
    story.answer(thread_id, {"type": "text", "text": "ok"})
    story.end(thread_id, "ok")
    opened.now.catch_up()
    assert root.threads[thread_id].status == "working"  # a message still waits
    assert list(job.turn_ids) == []
    story.turn(thread_id, "And now?")
    opened.now.catch_up()
    assert said(job)[-2:] == [("user", "three"), ("assistant", ["text"])]
    assert root.threads[thread_id].status == "need_input"
    assert root.threads[thread_id].last_assistant_message == "And now?"
    assert job.turn == 2


def test_tool_results_answer_their_calls_in_one_user_message(story, opened):
    thread_id = story.start()
    story.begin(thread_id)
    story.call(thread_id, "a", "b")
    graph = opened()
    job = graph.root.jobs[story.threads[thread_id]["job"]]
    assert unanswered_calls(job) == ["a", "b"]
    story.result(thread_id, "b", "second", error=True)
    graph.catch_up()
    assert unanswered_calls(job) == ["a"]
    story.result(thread_id, "a", "first")
    graph.catch_up()
    assert unanswered_calls(job) == []
    assert said(job)[-1] == ("user", ["tool_result", "tool_result"])
    blocks = json.loads(job.tail[-1])["content"]
    assert [(b["tool_use_id"], b["content"], b.get("is_error", False)) for b in blocks] == [
        ("b", "second", True),
        ("a", "first", False),
    ]
    assert job.turn_steps == 3


def test_an_intent_is_remembered_until_its_result(story, opened):
    thread_id = story.start()
    story.begin(thread_id)
    story.call(thread_id, "a")
    story.intend(thread_id, "a")
    graph = opened()
    job = graph.root.jobs[story.threads[thread_id]["job"]]
    assert list(job.intended) == ["a"]
    story.result(thread_id, "a")
    graph.catch_up()
    assert list(job.intended) == []


def test_a_turn_that_ends_early_leaves_no_call_without_a_result(story, opened):
    thread_id = story.start()
    story.begin(thread_id)
    story.call(thread_id, "a", "b")
    story.result(thread_id, "a")
    story.end(thread_id, "I stopped.", "failed")
    job = opened().root.jobs[story.threads[thread_id]["job"]]
    assert unanswered_calls(job) == []
    assert said(job)[-2:] == [("user", ["tool_result", "tool_result"]), ("assistant", ["text"])]
    assert "I stopped." in job.tail[-1]


def test_application_events_change_the_applications_state(story, opened):
    thread_id = story.start()
    story.begin(thread_id)
    story.call(thread_id, "a")
    story.result(thread_id, "a", by=5)
    graph = opened()
    assert graph.root.state["counted"] == 5
    assert graph.root.jobs[story.threads[thread_id]["job"]].version == 4


def test_the_conversation_kept_is_bounded_and_ends_with_what_was_said_last(story, opened):
    thread_id = story.start()
    graph = opened()
    for n in range(TAIL_KEPT * 2):
        story.turn(thread_id, f"reply {n}")
        story.go_on(thread_id, f"message {n}")
        graph.catch_up()
        assert len(graph.root.jobs[story.threads[thread_id]["job"]].tail) <= 2 * TAIL_KEPT
    job = graph.root.jobs[story.threads[thread_id]["job"]]
    assert json.loads(job.tail[-1])["content"][0]["text"] == f"reply {TAIL_KEPT * 2 - 1}"
    assert json.loads(job.tail[-2])["content"] == f"message {TAIL_KEPT * 2 - 2}"


def test_recent_threads_come_newest_first_and_each_once(story, opened):
    threads = [story.start() for _ in range(4)]
    story.go_on(threads[1])
    story.turn(threads[0])
    story.go_on(threads[1])
    user = opened().root.users["ana"]
    assert recent_ids(user, 10) == [threads[1], threads[0], threads[3], threads[2]]
    assert recent_ids(user, 2) == [threads[1], threads[0]]


def test_the_recent_list_stays_short_however_many_threads_take_turns(story, opened):
    threads = [story.start() for _ in range(RECENT_KEPT + 10)]
    graph = opened()
    for _ in range(2):
        for thread in threads:
            story.go_on(thread)
    graph.catch_up()
    user = graph.root.users["ana"]
    assert len(user.recent) == RECENT_KEPT
    assert recent_ids(user, RECENT_KEPT) == story.recent["ana"][:RECENT_KEPT]


def test_events_that_the_graph_need_not_know_are_counted(story, opened):
    story.append("fleet", FleetStarted(app="a", code_version="1", pid=1, host="h"))
    last = story.append("reply:r", ReplyFailed(reply_id="r", thread_id="t", attempts=5, error="OSError"))
    assert opened().root.applied == last


def test_an_event_out_of_turn_is_refused(story, opened):
    graph = opened()
    gap = Stored(graph.root.applied + 2, "fleet", 9, 1, "", FleetStarted(app="a", code_version="1", pid=1, host="h"))
    with pytest.raises(GraphError, match=f"event {gap.seq} cannot be applied: the graph stands at"):
        apply(graph.root, gap, lambda name: (dict, dict.update))


def test_a_batch_that_skips_others_events_reads_them_from_the_ledger(story, opened):
    graph = opened()
    story.accept("bo")  # as if another process had appended it
    mine = story.accept("ana")
    last = next(story.ledger.read(newest_first=True, limit=1))
    done = graph.apply([last])
    assert [stored.user for stored in done] == ["bo", "ana"]
    assert graph.apply([last]) == []
    assert graph.root.users["ana"].messages == 1
    assert done[-1].event.message_id == mine


def test_an_event_that_does_not_fit_is_named_and_never_passed_over(story, opened):
    opened()
    decision = Decision(by="model", outcome="dispatch_to", thread_id="thr_none", job_id="job_none", agent="helper")
    story.decide(story.accept(), decision)
    said = r"event \d+ \(message.decided in message:msg_1\) cannot be applied: KeyError"
    for _ in range(2):
        with pytest.raises(GraphError, match=said):
            opened.now.catch_up()
    assert opened.now.root.applied == story.ledger.head()[0] - 1
