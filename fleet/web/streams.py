"""A reply while it is written, as server-sent events: pieces of text, and in the end the reply that is on record.

* `text`, `{"reply_id", "at", "text"}`: follows the first `at` characters;
* `reset`, `{"reply_id"}`: what was told of this reply is void;
* `reply`, `{"message_id", "state", "result", "reply_id", "reply"}`: how the message stands on record, the last event;
* `stopped`, `{"message"}`, in its place: the worker ends, ask again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from fleet.audit.explain import explain
from fleet.errors import FleetError
from fleet.runtime.awaited import stands_for
from fleet.runtime.fleet import Fleet
from fleet.workers.partials import Partial

__all__ = ["stream_reply"]

_ALIVE_S = 15.0  # without an event for so long a comment is sent: proxies keep the connection, and a lost one shows
_HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def stream_reply(
    request: web.Request, fleet: Fleet, message_id: str, user: str, accepted: Mapping[str, Any] | None = None
) -> web.StreamResponse:
    """Tell of the reply to a user's message until it is on record, or whatever else becomes of the message is.

    With `accepted` the first event, of that name, says so. A client that goes away costs the message nothing.
    """
    response = web.StreamResponse(headers=_HEADERS)
    heard: asyncio.Queue[Partial | None] = asyncio.Queue()

    mine: dict[str, bool] = {}  # by reply: whether it answers the message

    def hear(partial: Partial) -> None:
        if partial.reply_id not in mine:
            mine[partial.reply_id] = stands_for(fleet.ledger, message_id) in partial.message_ids
        if mine[partial.reply_id]:
            heard.put_nowait(partial)

    unlisten = fleet.partials.listen(hear, user)
    answered = asyncio.create_task(fleet.reply_to(message_id))
    answered.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        await response.prepare(request)
        if accepted is not None:
            await _send(response, "accepted", accepted)
        await _tell(response, heard)
        try:
            said = answered.result()
        except FleetError as error:  # of the fleet, not of the request: its answer has begun
            await _send(response, "stopped", {"message": error.message})
        else:
            await _send(response, "reply", await asyncio.to_thread(_reply, fleet, message_id, said))
    except ConnectionError:  # nobody reads it any more
        pass
    finally:
        unlisten()
        answered.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await answered
    return response


async def _tell(response: web.StreamResponse, heard: asyncio.Queue[Partial | None]) -> None:
    """Pass on what is heard, up to the end."""
    told: dict[str, int] = {}  # by reply: how many characters the client has
    while True:
        try:
            async with asyncio.timeout(_ALIVE_S):
                partial = await heard.get()
        except TimeoutError:
            await response.write(b":\n\n")
            continue
        if partial is None:
            return
        key = partial.reply_id
        if told.get(key) and not partial.at:
            await _send(response, "reset", {"reply_id": key})
        told[key] = partial.at + len(partial.text)
        if partial.text:
            await _send(response, "text", {"reply_id": key, "at": partial.at, "text": partial.text})


def _reply(fleet: Fleet, message_id: str, said: str) -> dict[str, Any]:
    """How the message stands on record; `said` is the reply, or the question that its user is asked about it."""
    found = explain(fleet.ledger, stands_for(fleet.ledger, message_id)).as_dict()
    return {
        "message_id": message_id, "state": found["state"], "result": found["result"], "reply_id": found["reply_id"],
        "reply": said,
    }  # fmt: skip


async def _send(response: web.StreamResponse, event: str, data: Mapping[str, Any]) -> None:
    await response.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())
