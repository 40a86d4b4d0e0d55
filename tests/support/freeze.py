"""Write the frozen ledger of a release: every event type there is, in a history that a graph can be made of.

    PYTHONPATH=tests python -m support.freeze

writes the folder tests/data/ledgers/VERSION: a ledger, its archive, and events.jsonl with each event as it is read now.
To be run when a version is released: from then on ledgers like this one exist, and its folder never changes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from fleet.ledger import EVENT_TYPES, Blob, Draft, SqliteLedger
from fleet.ledger import events as ev
from fleet.ledger.archive import Archive
from fleet.ledger.base import Stored
from fleet.ledger.erase import forget_user, scrub
from fleet.version import __version__
from support.story import Story

LEDGERS = Path(__file__).parents[1] / "data" / "ledgers"

_PROMPT = Blob.of("You route messages. " * 20)
_SAMPLE = Blob.of("Threads of the person, newest first: " * 20)
_SHOWN = Blob.of(_SAMPLE.body + b"threads[0]: Swap", like=_SAMPLE.hash)
_DECISION: dict[str, Any] = {
    "name": "Swap a shift", "language": "pt-BR", "default_example_id": 3, "reason": "It is new.",
    "candidates": (ev.Candidate(thread_id="thr_2", agent="helper", name="Swap", latest_activity_at=1_700_000_000_000),),
    "agents": ("helper",), "examples": {"helper": (0, 3)}, "transcript": _SHOWN.hash, "prompt": _PROMPT.hash,
    "prompt_name": "prompts/dispatcher.md", "latency_us": {"queue": 12, "model": 90_000}, "code_version": "0.1.0",
    "attempts": (
        ev.Attempt(model="anthropic:claude-haiku-4-5", verdict="", error="overloaded", latency_us=5),
        ev.Attempt(model="offline:router", answer="```python\nstart_new_thread(…)\n```", stop_reason="end_turn",
                   input_tokens=900, output_tokens=40, cost_usd=0.0012, extra={"confidence": 0.9}),
    ),
}  # fmt: skip


def write(ledger: SqliteLedger) -> None:
    """Append a history with an event of every type."""
    told = Story(ledger)
    told.append("fleet", ev.FleetStarted(app="shop", code_version="0.1.0", pid=7, host="box", path="shop:app"))
    told.declare()
    told.declare("dispatcher", "dispatcher")
    told.declare("watcher", "supervised")
    _turns(told)
    _letters(told)
    _dispatch(told)
    _people(told)
    _questions(told)
    told.append("rules", ev.RulesChanged(source="rules.toml", rules=("support line",), file=_PROMPT.hash))
    told.append("agent:helper", ev.AgentPaused(role="helper", paused=True, by="eva", reason="on leave"))
    told.append("agent:helper", ev.AgentPaused(role="helper", paused=False, by="eva"))
    told.append("agent:helper", ev.AgentPrewarmed(role="helper", attempt=1, error="ConnectionError"))
    told.start("eve", "Forget this, please")
    forget_user(ledger.path, "eve", by="the desk", reason="Art. 17", busy_s=5)
    told.append("sweeper", ev.StuckFound(queue="turns", key="msg_1", waited_us=60_000_000, did="set going"))
    told.retire("watcher")


def _turns(told: Story) -> None:
    told.append(
        "message:none", ev.MessageAccepted(message_id="none", user="ana", text="Ad", channel="mail"), user="ana"
    )
    told.decide("none", ev.Decision(by="gate", outcome="drop", gate_reason="an advertisement"), text="Ad")
    thread = told.start("ana", "Can I swap Friday? 🌱 \u2028 \u202e", **_DECISION)
    told.begin(thread)
    told.call(thread, "call_1")
    told.intend(thread, "call_1")
    told.result(thread, "call_1", by=5)
    told.answer(
        thread, {"type": "thinking", "thinking": "", "signature": "c2ln"}, {"type": "text", "text": "Which day?"}
    )
    told.end(thread, "Which day?", "need_input")
    told.deliver(thread)
    _approved(told, thread)
    _reminded(told, thread)
    message = told.go_on(thread, "Friday is better")
    label = ev.DecisionLabelled(message_id=message, user="ana", thread_id=thread, note="right", by="eva")
    told.append(f"label:{message}", label, user="ana")
    told.turn(thread, "Done.", "success")
    reply = {"reply_id": f"rep_{thread.replace('thr', 'job')}.2", "thread_id": thread}
    told.append(f"reply:{reply['reply_id']}", ev.ReplyFailed(**reply, attempts=5, error="ConnectionError"), user="ana")
    put_back = ev.ReplyRetried(**reply, job_id=thread.replace("thr", "job"), by="eva")
    told.append(f"reply:{reply['reply_id']}", put_back, user="ana")


def _approved(told: Story, thread: str) -> None:
    """A call that was asked about, approved and cut off, and what a person said became of it."""
    known = told.threads[thread]
    ids = {"job_id": known["job"], "thread_id": thread, "user": "ana"}
    call = {"call_id": "call_2", "tool": "order", "arguments": {"item": "tea"}}
    told.go_on(thread, "Order tea")
    told.begin(thread)
    told.call(thread, "call_2")
    asked = ev.ConfirmationAsked(
        confirm_id="cfm_1", **ids, turn=known["turn"], **call, arguments_hash="ab" * 32, question="Order tea?",
        expires_at=1_900_000_000_000_000, message_ids=tuple(known["open"]),
    )  # fmt: skip
    told.step(thread, asked)
    told.result(thread, "call_2", "It waits for a yes.")
    told.end(thread, "Order tea?", "need_input")
    told.append(
        "confirm:cfm_1", ev.ConfirmationSettled(confirm_id="cfm_1", **ids, verdict="approved", by="eva"), user="ana"
    )
    told.begin(thread)
    lost = ev.ToolReturned(
        job_id=known["job"], turn=known["turn"], **call, content="Nobody knows.", error=True, settled="cfm_1",
        unknown=True,
    )  # fmt: skip
    told.step(thread, lost)
    told.end(thread, "A person has to look.", "blocked")
    resolved = ev.CallResolved(**ids, call_id="call_2", tool="order", took_effect=True, note="It came.", by="eva")
    told.append(f"call:{known['job']}:call_2", resolved, user="ana")


def _reminded(told: Story, thread: str) -> None:
    """Two reminders of a thread: one is due and has its turn, the other is taken back."""
    known = told.threads[thread]
    ids = {"job_id": known["job"], "thread_id": thread, "user": "ana"}
    for name in ("rem_1", "rem_2"):
        told.step(thread, ev.ReminderSet(
            reminder_id=name, **ids, turn=known["turn"], call_id="call_2", due_at=1_800_000_000_000_000, note="Tea?",
            verbatim=name == "rem_1",
        ))  # fmt: skip
    told.step(thread, ev.HistoryCompacted(
        **ids, first_turn=1, last_turn=1, recap="They want to swap Friday.", model="offline:recap", input_tokens=90,
        output_tokens=9, cost_usd=0.0001, latency_us=12,
    ))  # fmt: skip
    told.step(thread, ev.LocaleSet(**ids, turn=known["turn"], call_id="call_2", locale="pt-BR"))
    fired = ev.ReminderFired(reminder_id="rem_1", **ids, due_at=1_800_000_000_000_000)
    told.append("reminder:rem_1", fired, user="ana")
    off = ev.ReminderCancelled(reminder_id="rem_2", **ids, by="eva", reason="no tea")
    told.append("reminder:rem_2", off, user="ana")
    known["turn"] += 1
    turn = {"job_id": known["job"], "thread_id": thread, "turn": known["turn"], "message_ids": ()}
    told.step(
        thread,
        ev.TurnStarted(**turn, reminders=("rem_1",), locale="pt-BR"),
        ev.TurnEnded(**turn, user="ana", result="success", reply="Tea?", settled=("rem_1",)),
    )


def _letters(told: Story) -> None:
    first = told.accept("ben", "This breaks")
    stream = f"message:{first}"
    told.append(stream, ev.MessageFailed(message_id=first, attempt=1, error="KeyError: 'x'", trace="a\nb"), user="ben")
    dead = ev.MessageDead(message_id=first, stage="routing", attempts=3, error="KeyError: 'x'")
    told.append(stream, dead, user="ben")
    told.append(stream, ev.MessageRetried(message_id=first, by="eva"), user="ben")
    told.append(stream, ev.MessageDropped(message_id=first, by="eva", reason="spam"), user="ben")
    thread = told.start("ben", "New for ben")
    told.begin(thread)
    known = told.threads[thread]
    failed = ev.TurnFailed(
        job_id=known["job"], thread_id=thread, turn=1, message_ids=tuple(known["open"]), attempt=1, error="ValueError"
    )
    told.step(thread, failed)
    told.end(thread)


def _dispatch(told: Story) -> None:
    for name in ("dsp_1", "dsp_2"):
        asked = ev.DispatchRequested(
            message_id=name, user="cid", text="Look into it", metadata={"order": 7},
            assignment=ev.Assignment(agent="watcher", new_thread=True, name="Order 7", by="eva"),
        )  # fmt: skip
        told.append(f"message:{name}", asked, user="cid")
        decision = ev.Decision(
            by="dispatch", outcome="start_new_thread", thread_id=f"thr_{name}", job_id=f"job_{name}", agent="watcher"
        )
        told.decide(name, decision, "cid", "Look into it")
    called_off = ev.DispatchCancelled(message_id="dsp_2", user="cid", job_id="job_dsp_2", by="eva", reason="done")
    told.append("message:dsp_2", called_off, user="cid")


def _people(told: Story) -> None:
    """A thread that a person takes over in the middle of a turn, answers and gives back; a job that is called off."""
    thread = told.start("dan", "My order is late")
    known = told.threads[thread]
    ids = {"thread_id": thread, "job_id": known["job"], "user": "dan"}
    told.begin(thread)
    over = f"takeover:{thread}"
    told.append(over, ev.ThreadTakenOver(**ids, by="eva"), user="dan")
    told.step(thread, ev.TurnSetAside(
        **ids, turn=1, by="eva", message_ids=tuple(known["open"]), texts=("My order is late",)
    ))  # fmt: skip
    told.append(over, ev.PersonReplied(key="prs_1", **ids, by="eva", text="It comes today."), user="dan")
    told.append(over, ev.ThreadReleased(**ids, by="eva"), user="dan")
    child = ev.SubjobStarted(
        job_id="job_child", parent=known["job"], turn=1, call_id="call_9", thread_id="thr_child", user="dan",
        agent="watcher", name="Where is it?", message_id="job_child.1", text="Where is order 7?", wait=False,
    )  # fmt: skip
    told.append("job:job_child", child, user="dan")
    handed = ev.JobHandedOver(job_id=known["job"], thread_id=thread, before="helper", agent="watcher")
    told.step(thread, handed)
    told.append(f"cancel:{known['job']}", ev.JobCancelled(**ids, by="eva", reason="done"), user="dan")


def _questions(told: Story) -> None:
    """A message whose user is asked where it belongs, and the answer."""
    thread = told.start("fay", "My parcel is late")
    unclear, answer = told.accept("fay", "and Friday?"), told.accept("fay", "1")
    first = ev.Decision(by="model", outcome="start_new_thread", agent="helper", name="Friday", language="en")
    asked = ev.QuestionAsked(
        message_id=unclear, user="fay", question_id=f"ask_{unclear}", text="Which one do you mean?",
        choices=(ev.Choice(agent="helper", thread_id=thread, name="Swap", probability=0.4), ev.Choice(agent="helper")),
        otherwise="watcher", expires_at=1_900_000_000_000_000, decision=first, thread_key="k",
    )  # fmt: skip
    told.append(f"message:{unclear}", asked, user="fay")
    settled = ev.Decision(
        by="user", outcome="dispatch_to", thread_id=thread, job_id=thread.replace("thr", "job"), agent="helper",
        asked="answered", answered_by=answer,
    )  # fmt: skip
    told.decide(unclear, settled, "fay", "and Friday?")
    told.decide(answer, ev.Decision(by="user", outcome="answer", answer_to=unclear), "fay", "1")


def shown(stored: Stored) -> dict[str, Any]:
    """An event as plain JSON, defaults left out."""
    body = stored.event.model_dump(mode="json", exclude_defaults=True)
    return {"seq": stored.seq, "stream": stored.stream, "version": stored.version, "user": stored.user,
            "type": stored.event.TYPE, "v": stored.event.VERSION, "event": body}  # fmt: skip


def main() -> None:
    folder = LEDGERS / __version__
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / "ledger.db"
    with SqliteLedger.open(path) as ledger:
        ledger.append_now(Draft("blobs", 0, (), "", (_PROMPT, _SAMPLE, _SHOWN)))
        write(ledger)
        events = list(ledger.read())
        lacking = sorted(set(EVENT_TYPES) - {each.event.TYPE for each in events})
        assert not lacking, f"tell a story with {lacking} too"
        with Archive(path, 5) as into:
            into.move(each.stream for each in events if each.event.TYPE == ev.TurnEnded.TYPE and each.user == "ben")
    scrub(path, 5)
    for left in folder.glob("bells"):
        left.rmdir()
    lines = [json.dumps(shown(each), ensure_ascii=False) for each in events]
    (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
