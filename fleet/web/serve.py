"""Listening: an address for an API, from the start of a `with` block to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from fleet.errors import ConfigError
from fleet.runtime.fleet import Fleet
from fleet.web.api import Api
from fleet.web.grants import Issuer

__all__ = ["address_of", "listening"]


def address_of(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[::1]:8080` or `:8080` (this machine alone).

    Raises: ConfigError.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"an address is HOST:PORT such as 127.0.0.1:8080, not {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


@asynccontextmanager
async def listening(fleet: Fleet, issuer: Issuer, host: str, port: int) -> AsyncIterator[str]:
    """Serve the API of an open fleet; gives its URL. Port 0 takes a free one. Requests in flight end before it closes.

    Raises: ConfigError if the address cannot be had.
    """
    runner = web.AppRunner(Api(fleet, issuer).app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        at, bound = runner.addresses[0][:2]
        yield f"http://{f'[{at}]' if ':' in at else at}:{bound}"
    finally:
        await runner.cleanup()
