"""Everybody's writes wait while the ledger is out of reach, and are there once it is back."""

from __future__ import annotations

import asyncio
import logging

import pytest
from support.fleets import helper_app, open_fleet

from fleet import Message
from fleet.errors import LedgerUnavailableError
from fleet.ledger.base import Draft
from fleet.ledger.events import MessageAccepted
from fleet.ledger.sqlite import SqliteLedger
from fleet.runtime.pen import Pen


def _draft(number: int) -> Draft:
    text = "".join(f"{number * 7919 + place:x}" for place in range(2000))  # packs badly
    return Draft(f"message:m{number}", 0, (MessageAccepted(message_id=f"m{number}", user="ana", text=text),), "ana")


def _limit(ledger: SqliteLedger, more_pages: int) -> None:
    connection = ledger._writing()._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + more_pages}")


async def test_whoever_tries_for_all_may_be_cancelled_and_every_write_gets_through_once_there_is_room(tmp_path, caplog):
    caplog.set_level(logging.INFO, "fleet")
    with SqliteLedger.open(tmp_path / "ledger.db") as ledger:
        pen = Pen(ledger.append)
        await pen.write(_draft(0))
        _limit(ledger, 1)
        writes = [asyncio.create_task(pen.write(_draft(number))) for number in range(1, 8)]
        while not pen.paused:
            await asyncio.sleep(0.01)
        assert [each for each in writes if each.done()] == []
        writes[0].cancel()
        await asyncio.wait(writes[:1])
        while not pen.paused:
            await asyncio.sleep(0.01)
        _limit(ledger, 1000)
        await asyncio.gather(*writes[1:])
        assert not pen.paused
        assert {stored.event.message_id for stored in ledger.read()} == {"m0", *(f"m{n}" for n in range(2, 8))}
        assert ledger.verify().problems == ()
    said = [record.getMessage().split()[0] for record in caplog.records]
    assert said == ["ledger.paused", "ledger.paused", "ledger.resumed"]


async def test_what_is_decided_while_the_ledger_is_out_of_reach_is_kept_and_senders_are_told(tmp_path):
    asked, release = asyncio.Event(), asyncio.Event()

    async def gate(message):
        asked.set()
        await release.wait()

    async with open_fleet(tmp_path / "home", helper_app(gate=gate)) as fleet:
        accepted = await fleet.accept(Message("ana", "hello"))
        await asked.wait()
        _limit(fleet.ledger, 0)
        release.set()

        async def send_much() -> None:
            while True:
                await fleet.accept(Message("bo", "new " + "x" * 50_000))

        with pytest.raises(LedgerUnavailableError, match="database or disk is full; nothing was written"):
            await send_much()
        _limit(fleet.ledger, 10_000)
        assert await fleet.reply_to(accepted.message_id) == "You said: hello"
        await fleet.idle()
        assert fleet.ledger.verify().problems == ()
