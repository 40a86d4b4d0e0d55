"""The HTTP API of a running fleet: every answer is JSON, every refusal says what and what next.

Bodies are checked by intake as any message's; who may do what is the grant's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from fleet.audit.explain import explain
from fleet.audit.explanation import Explanation
from fleet.errors import FleetError, GrantError, InboxFullError, InputError
from fleet.log import log
from fleet.runtime.asked import asked_for, roles_of
from fleet.runtime.dispatches import Dispatch, again, cancel_now, dispatches, find_dispatch
from fleet.runtime.fleet import Fleet
from fleet.runtime.intake import Message
from fleet.version import __version__
from fleet.web.grants import Grant, Issuer
from fleet.web.refusals import Forbidden, Missing, refusal
from fleet.web.streams import stream_reply

__all__ = ["Api"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_ROOM = 65_536  # bytes of a request beside the message's text
_MOST = 200  # dispatches in one list
_GRANT: web.RequestKey[Grant] = web.RequestKey("grant", Grant)
_TOLD = ("by", "action", "agent", "thread_id", "thread_index", "name", "gate", "gate_reason", "fallback",
         "joined")  # fmt: skip
_MESSAGE = {"text", "id", "user", "channel", "session_id", "language", "metadata", "wait", "stream"}
_DISPATCH = {"agent", "agents", "text", "id", "user", "thread", "new_thread", "name", "metadata", "mode"}


class Api:
    """The routes of one open fleet, as the aiohttp application `app`."""

    def __init__(self, fleet: Fleet, issuer: Issuer) -> None:
        self._fleet, self._issuer = fleet, issuer
        self.app = web.Application(
            client_max_size=fleet.settings.max_message_bytes * 6 + _ROOM,  # JSON may spell a character as \u0000
            middlewares=[self._guarded],
        )
        self.app.add_routes([
            web.get("/v1/health", self._health),
            web.get("/v1/load", self._load),
            web.post("/v1/connect", self._connect),
            web.post("/v1/messages", self._send),
            web.get("/v1/messages/{id}", self._message),
            web.get("/v1/messages/{id}/stream", self._stream),
            web.post("/v1/dispatches", self._create),
            web.get("/v1/dispatches", self._list),
            web.get("/v1/dispatches/{id}", self._show),
            web.post("/v1/dispatches/{id}/cancel", self._cancel),
            web.post("/v1/dispatches/{id}/retry", self._retry),
        ])  # fmt: skip

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the grant, and give every error the same form."""
        try:
            if request.match_info.handler != self._health:
                request[_GRANT] = self._granted(request)
            return await handler(request)
        except web.HTTPException as error:
            return refusal(error.status, error.reason, error.headers.get("Allow"))
        except FleetError as error:
            return _refused(error)
        except Exception as error:  # a bug: it is logged, and not told to the network
            log("http.failed", path=request.path, error=error)
            return refusal(500, "fleet itself failed; its log says where")

    def _granted(self, request: web.Request) -> Grant:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise GrantError("a grant is needed: Authorization: Bearer TOKEN")
        return self._issuer.check(token.strip())

    async def _health(self, request: web.Request) -> web.Response:
        load = await asyncio.to_thread(self._fleet.load)
        return web.json_response({
            "status": "ok", "app": self._fleet.app.name, "version": __version__,
            "inbox": load.queues["inbox"].waiting, "load": load.load,
        })  # fmt: skip

    async def _load(self, request: web.Request) -> web.Response:
        """What the worker is doing; for an operator."""
        if not request[_GRANT].operator:
            raise Forbidden("the load is for operators; this grant speaks for one user")
        return web.json_response((await asyncio.to_thread(self._fleet.load)).as_dict())

    async def _connect(self, request: web.Request) -> web.Response:
        """Dispatch what the grant starts; connecting again with the same token starts nothing twice."""
        grant = request[_GRANT]
        made = [
            await self._fleet.dispatch(
                each.agent, user=grant.user, name=each.name, metadata=each.metadata, new_thread=True,
                id=f"{grant.id}.{number}", by=f"grant {grant.id}",
            )
            for number, each in enumerate(grant.starts)
        ]  # fmt: skip
        return web.json_response({"user": grant.user, "dispatches": [each.as_dict() for each in made]})

    async def _send(self, request: web.Request) -> web.StreamResponse:
        grant, body = request[_GRANT], await _body(request, _MESSAGE)
        wait, stream = _flag(body, "wait"), _flag(body, "stream")
        if wait and stream:
            raise InputError("a reply is waited for or streamed, not both; nothing was sent")
        user = _user(grant, body)
        sent = await self._fleet.accept(Message(
            user, _text(body, "text"), _text(body, "id"), _text(body, "channel"),
            _text(body, "session_id"), _text(body, "language"), _object(body), roles=grant.roles,
        ))  # fmt: skip
        told: dict[str, Any] = {"message_id": sent.message_id, "new": sent.new}
        if stream:
            return await stream_reply(request, self._fleet, sent.message_id, user, told)
        if not wait:
            return web.json_response(told, status=202)
        told["reply"] = await self._fleet.reply_to(sent.message_id)
        return web.json_response(told)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """The reply to a message that was sent before, while it is written."""
        found = await self._found(request)
        return await stream_reply(request, self._fleet, found.message.message_id, found.message.user)

    async def _found(self, request: web.Request) -> Explanation:
        """What is on record about the message that the path names, if the grant may see it."""
        grant, message_id = request[_GRANT], request.match_info["id"]
        try:
            found = await asyncio.to_thread(explain, self._fleet.ledger, message_id)
        except InputError as error:
            raise Missing(error.message) from None
        if not grant.operator and found.message.user != grant.user:
            raise Missing(f"there is no message {message_id!r}")
        return found

    async def _message(self, request: web.Request) -> web.Response:
        """Where a message went: all of it for an operator, for its user who decided what."""
        whole = (await self._found(request)).as_dict()
        if request[_GRANT].operator:
            return web.json_response(whole, dumps=_dumps)
        decision = whole["decision"] and {key: whole["decision"][key] for key in _TOLD}
        kept = ("message_id", "text", "accepted_at", "state", "where", "outcome", "result", "reply", "asked")
        return web.json_response({key: whole[key] for key in kept} | {"decision": decision}, dumps=_dumps)

    async def _create(self, request: web.Request) -> web.Response:
        grant, body = request[_GRANT], await _body(request, _DISPATCH)
        mode = _text(body, "mode") or "queue"
        asked = asked_for(
            _agents(body), mode, thread_id=_text(body, "thread"), new_thread=_flag(body, "new_thread"),
            name=_text(body, "name"), by=f"grant {grant.id}", by_user=not grant.operator,
        )  # fmt: skip
        for role in roles_of(asked):
            if not grant.may(role):
                raise Forbidden(f"this grant may not dispatch {role!r}; it may {', '.join(grant.roles)}")
        message = Message(
            _user(grant, body), _text(body, "text"), _text(body, "id"), metadata=_object(body), dispatch=asked,
            roles=grant.roles,
        )  # fmt: skip
        return await self._dispatched(message, wait=mode == "sync")

    async def _dispatched(self, message: Message, *, wait: bool) -> web.Response:
        made = await self._fleet.assign(message, wait=wait)
        return web.json_response(made.as_dict(), status=200 if wait else 202, dumps=_dumps)

    async def _list(self, request: web.Request) -> web.Response:
        grant, asked = request[_GRANT], request.query
        user = asked.get("user", "") if grant.operator else grant.user
        if not asked.get("limit", "20").isdecimal():
            raise InputError(f"a limit is a number, not {asked['limit']!r}")
        limit = min(int(asked.get("limit", "20")), _MOST)
        listed = partial(
            dispatches, self._fleet.ledger, user=user, agent=asked.get("agent", ""), state=asked.get("state", ""),
            limit=limit,
        )  # fmt: skip
        found = await asyncio.to_thread(lambda: list(listed()))
        return web.json_response({"dispatches": [each.as_dict() for each in found]}, dumps=_dumps)

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response((await self._own(request)).as_dict(), dumps=_dumps)

    async def _cancel(self, request: web.Request) -> web.Response:
        found, body = await self._own(request), await _body(request, {"reason"})
        if not (reason := _text(body, "reason")).isprintable():
            raise InputError("a reason is one printable line; nothing was called off")
        by = f"grant {request[_GRANT].id}"
        off = await asyncio.to_thread(partial(cancel_now, self._fleet.ledger, found.id, by=by, reason=reason))
        return web.json_response(off.as_dict(), dumps=_dumps)

    async def _retry(self, request: web.Request) -> web.Response:
        found, grant = await self._own(request), request[_GRANT]
        for role in found.workflow or (found.agent,):
            if not grant.may(role):
                raise Forbidden(f"this grant may not dispatch {role!r}")
        message = await asyncio.to_thread(partial(again, self._fleet.ledger, found.id, by=f"grant {grant.id}"))
        return await self._dispatched(message, wait=False)

    async def _own(self, request: web.Request) -> Dispatch:
        """The dispatch that the path names, if the grant may see it."""
        dispatch_id, grant = request.match_info["id"], request[_GRANT]
        try:
            found = await asyncio.to_thread(find_dispatch, self._fleet.ledger, dispatch_id)
        except InputError:
            found = None
        if found is None or (not grant.operator and found.user != grant.user):
            raise Missing(f"there is no dispatch {dispatch_id!r}")
        return found


def _refused(error: FleetError) -> web.Response:
    """The status and form of an error."""
    if isinstance(error, GrantError):
        return refusal(401, error.message, headers={"WWW-Authenticate": "Bearer"})
    if isinstance(error, (Forbidden, Missing)):
        return refusal(error.status, error.message)
    if isinstance(error, InboxFullError):
        return refusal(429, error.message, headers={"Retry-After": str(error.retry_after)})
    if isinstance(error, InputError):
        return refusal(400, error.message)
    log("http.unavailable", error=error)
    return refusal(503, error.message, headers={"Retry-After": "5"})


async def _body(request: web.Request, known: set[str]) -> dict[str, Any]:
    """The request's JSON object. Raises: InputError for anything else, or a field that is not known."""
    try:
        found = json.loads(await request.text() or "{}")
    except (ValueError, RecursionError):
        raise InputError("the body is not JSON in UTF-8; nothing was sent") from None
    if not isinstance(found, dict):
        raise InputError("the body is a JSON object; nothing was sent")
    if unknown := sorted(set(found) - known):
        raise InputError(f"there is no field {unknown[0]!r}; there are {', '.join(sorted(known))}; nothing was sent")
    return found


def _user(grant: Grant, body: Mapping[str, Any]) -> str:
    asked = _text(body, "user")
    if asked and asked != grant.user and not grant.operator:
        raise Forbidden(f"this grant speaks for {grant.user!r} alone")
    return asked or grant.user


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name, "")
    if not isinstance(found, str):
        raise InputError(f"{name} is a string; nothing was sent")
    return found


def _agents(body: Mapping[str, Any]) -> str | list[str]:
    """The one agent, or the several of a workflow."""
    if "agents" not in body:
        return _text(body, "agent")
    found = body["agents"]
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found) or body.get("agent"):
        raise InputError("agents is a list of roles, in the place of agent; nothing was sent")
    return found


def _flag(body: Mapping[str, Any], name: str) -> bool:
    found = body.get(name, False)
    if not isinstance(found, bool):
        raise InputError(f"{name} is true or false; nothing was sent")
    return found


def _object(body: Mapping[str, Any]) -> dict[str, Any]:
    found = body.get("metadata", {})
    if not isinstance(found, dict):
        raise InputError("metadata is a JSON object; nothing was sent")
    return found


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
