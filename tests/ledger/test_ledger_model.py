"""Any sequence of appends, stale appends, restarts and reads, against a list and two dictionaries."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from ledger_drafts import writing_connection

from fleet.errors import StaleWriteError
from fleet.ledger import Blob, Draft, Event, SqliteLedger
from fleet.ledger.events import AppEventRecorded, MessageAccepted, ReplyDelivered, TurnEnded

KEYS = st.sampled_from(["a", "b", "a_", "a%"])
USERS = st.sampled_from(["", "ana", "bo", "Żaneta 🙂", "' OR 1=1 --", "nul\0in it"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def _event(kind: int, key: str, text: str) -> Event:
    if kind == 0:
        return MessageAccepted(message_id=key, user="ana", text=text)
    if kind == 1:
        return AppEventRecorded(name="noted", job_id=key, user="ana", data={text: [text, None, 1.5, {"deep": True}]})
    if kind == 2:
        return TurnEnded(
            job_id="j",
            thread_id="t",
            user="ana",
            turn=1,
            message_ids=(key,),
            result="success",
            reply_id=key,
            reply=text,
        )
    return ReplyDelivered(reply_id=key, thread_id="t")


EVENTS = st.builds(_event, st.integers(0, 3), KEYS, TEXTS)
Row = tuple[str, int, str, Event]


class LedgerMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fleet-ledger-model-"))
        self.rows: list[Row] = []
        self.open: dict[tuple[str, str], tuple[int, str]] = {}
        self.blobs: set[Blob] = set()
        self._open()

    def _open(self) -> None:
        self.ledger = SqliteLedger.open(self.folder / "ledger.db")
        writing_connection(self.ledger).execute("PRAGMA synchronous = OFF")

    def _version(self, stream: str) -> int:
        return sum(row[0] == stream for row in self.rows)

    @rule(stream=KEYS, events=st.lists(EVENTS, max_size=4), user=USERS, bodies=st.lists(TEXTS, max_size=2))
    def append(self, stream: str, events: Sequence[Event], user: str, bodies: Sequence[str]) -> None:
        version = self._version(stream)
        blobs = tuple(Blob.of(body * 50) for body in bodies)
        stored = self.ledger.append_now(Draft(stream, version, tuple(events), user, blobs))
        for event in events:
            version += 1
            self.rows.append((stream, version, user, event))
            for entry in event.closes():
                self.open.pop(entry, None)
            for entry in event.opens():
                self.open.setdefault(entry, (len(self.rows), user))
        self.blobs.update(blobs)
        assert [(one.stream, one.version, one.user, one.event) for one in stored] == self.rows[
            len(self.rows) - len(events) :
        ]

    @rule(stream=KEYS, event=EVENTS, off=st.sampled_from([-2, -1, 1, 2]))
    def append_stale(self, stream: str, event: Event, off: int) -> None:
        with pytest.raises(StaleWriteError):
            self.ledger.append_now(Draft(stream, self._version(stream) + off, (event,), "ana"))

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self._open()

    @rule(user=USERS, newest_first=st.booleans(), limit=st.integers(0, 5), after=st.integers(0, 10))
    def read(self, user: str, newest_first: bool, limit: int, after: int) -> None:
        wanted = [(seq, row[3]) for seq, row in enumerate(self.rows, 1) if seq > after and (not user or row[2] == user)]
        if newest_first:
            wanted.reverse()
        got = self.ledger.read(user=user, newest_first=newest_first, limit=limit, after=after)
        assert [(stored.seq, stored.event) for stored in got] == wanted[:limit]

    @invariant()
    def streams_and_queues_are_the_models(self) -> None:
        if not hasattr(self, "rows"):
            return
        assert [(s.stream, s.version, s.user, s.event) for s in self.ledger.read()] == self.rows
        assert self.ledger.head()[0] == len(self.rows)
        names = sorted({row[0] for row in self.rows})
        assert self.ledger.find_streams("") == names
        assert self.ledger.find_streams("a_") == [name for name in names if name.startswith("a_")]
        for name in names:
            assert self.ledger.version(name) == self._version(name)
        for queue in ("inbox", "turns", "outbox"):
            wanted = sorted((seq, key, user) for (of, key), (seq, user) in self.open.items() if of == queue)
            assert [(entry.seq, entry.key, entry.user) for entry in self.ledger.pending(queue)] == wanted
            assert self.ledger.pending_count(queue) == len(wanted)
        for blob in self.blobs:
            assert self.ledger.blob(blob.hash) == blob.body

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            report = self.ledger.verify()
            self.ledger.close()
            shutil.rmtree(self.folder)
            assert report.problems == ()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
