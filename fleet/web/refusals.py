"""Refusals over HTTP: one form for all."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from fleet.errors import FleetError

__all__ = ["Forbidden", "Missing", "refusal"]


class Forbidden(FleetError):  # noqa: N818 - a verdict on a request
    """The grant does not allow it."""

    status = 403


class Missing(FleetError):  # noqa: N818
    """There is no such thing, or the grant may not see it."""

    status = 404


def refusal(
    status: int, message: str, allow: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """`{"error": {"status": …, "message": …}}`."""
    given = dict(headers or {}) | ({"Allow": allow} if allow else {})
    return web.json_response({"error": {"status": status, "message": message}}, status=status, headers=given)
