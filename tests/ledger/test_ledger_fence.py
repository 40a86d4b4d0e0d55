"""The fence: once a later worker has begun, a worker's ledger takes nothing more from it; senders are not concerned."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ledger_drafts import accepted

from fleet.errors import TakenOverError
from fleet.ledger import Draft, SqliteLedger
from fleet.ledger.events import FleetStarted


def _begin(ledger: SqliteLedger, pid: int) -> int:
    started = FleetStarted(app="small", code_version="0", pid=pid, host="here")
    (stored,) = ledger.append_now(Draft("fleet", ledger.version("fleet"), (started,)))
    ledger.fence(stored.seq)
    return stored.seq


async def test_a_fenced_ledger_refuses_every_append_and_names_the_later_worker(path: Path) -> None:
    with SqliteLedger.open(path) as first, SqliteLedger.open(path) as second, SqliteLedger.open(path) as sender:
        _begin(first, 1)
        await first.append(accepted("m1"))
        sender.append_now(accepted("m2"))
        await first.append(accepted("m3"))
        _begin(second, 2)
        results = await asyncio.gather(*(first.append(accepted(f"late{n}")) for n in range(5)), return_exceptions=True)
        why = f"home {path.parent} was taken over by another worker (pid 2 on here); nothing more was written"
        assert {(type(result), str(result)) for result in results} == {(TakenOverError, why)}
        with pytest.raises(TakenOverError) as refused:
            first.append_now(accepted("later still"))
        assert refused.value.exit_code == 76
        sender.append_now(accepted("m4"))
        await second.append(accepted("m5"))
        streams = [stored.stream for stored in second.read() if stored.stream != "fleet"]
        assert streams == [f"message:m{n}" for n in range(1, 6)]
        assert second.verify().problems == ()
