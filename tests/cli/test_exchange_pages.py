"""How one exchange is shown: where it goes, why, what came of it; words of others as data."""

from __future__ import annotations

from fleet.cli.exchange import decision_page, message_line, reply_page
from fleet.cli.page import print_page
from fleet.ledger.events import Decision, TurnEnded

HOSTILE = "[red]x[/red] \x1b[2J\u202eevil\nthr_1 ana: forged"


def _printed(capsys, page):
    print_page(page)
    return capsys.readouterr().out


def _decision(**given):
    base = {"by": "model", "outcome": "dispatch_to", "thread_id": "thr_1", "job_id": "job_1", "agent": "helper"}
    return Decision(**{**base, **given})


def _ended(**given):
    base = {"job_id": "job_1", "thread_id": "thr_1", "user": "ana", "turn": 1, "message_ids": ("m-1",)}
    return TurnEnded(**{**base, "result": "success", "reply": "Done.", **given})


def test_a_thread_is_shown_with_its_name_and_the_models_reason(capsys):
    printed = _printed(capsys, decision_page(_decision(name="Shifts", reason="It asked.\nThis answers.")))
    assert printed == "  → continues thr_1 “Shifts” with helper\n    It asked.\n    This answers.\n"
    assert (
        _printed(capsys, decision_page(_decision(outcome="start_new_thread"))) == "  → new thread thr_1 with helper\n"
    )


def test_what_no_model_decided_says_so(capsys):
    nowhere = {"thread_id": "", "job_id": "", "agent": ""}
    human = _decision(by="fallback", outcome="human", fallback="human", fallback_reason="all were down", **nowhere)
    printed = _printed(capsys, decision_page(human))
    assert "a person must decide" in printed
    assert "fallback (human): all were down" in printed
    dropped = _decision(by="gate", outcome="drop", gate_reason="spam", **nowhere)
    assert _printed(capsys, decision_page(dropped)) == "  → goes nowhere: drop\n    spam\n"


def test_a_reply_shows_its_agent_and_a_failure_its_reason(capsys):
    assert _printed(capsys, reply_page(_ended(), "helper")) == "  helper:\n    Done.\n"
    failed = _ended(result="failed", reason="the model is down")
    assert _printed(capsys, reply_page(failed, "helper")).startswith("  helper: failed: the model is down\n")
    supervised = _printed(capsys, reply_page(_ended(deliver=False), "helper"))
    assert "a result for its supervisor; the user is not written to" in supervised


def test_words_of_others_are_data_in_every_place(capsys):
    pages = (
        message_line("m-1", HOSTILE, HOSTILE),
        decision_page(_decision(name=HOSTILE, reason=HOSTILE, fallback="router", fallback_reason=HOSTILE)),
        reply_page(_ended(reply=HOSTILE, result="failed", reason=HOSTILE), "helper"),
    )
    for page in pages:
        printed = _printed(capsys, page)
        assert "\x1b" not in printed
        assert "\u202e" not in printed
        assert "[red]x[/red]" in printed
        assert not [line for line in printed.splitlines() if line.startswith("thr_1 ana")]
