"""`fleet chat`: write to the fleet and read its replies; the worker runs inside."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import click

from fleet.agents.app import App
from fleet.audit.explain import explain
from fleet.audit.inert import visible
from fleet.audit.page import render
from fleet.cli.apps import app_for
from fleet.cli.conversation import read_conversation, recent_threads
from fleet.cli.exchange import decision_page, question_page, reply_page
from fleet.cli.lines import Prompt, piped_lines, typed_lines
from fleet.cli.options import app_option, home_option, load_settings, unchecked_option
from fleet.cli.page import print_page
from fleet.cli.threads import print_threads
from fleet.cli.worker import models_line
from fleet.cli.writing import Writing
from fleet.errors import InputError
from fleet.ledger.base import Stored
from fleet.ledger.events import MessageDecided, QuestionAsked, TurnEnded
from fleet.runtime.fleet import Fleet
from fleet.runtime.intake import Message, check_message
from fleet.settings import Settings

__all__ = ["chat"]

_HELP = """\
Write a message and press Enter. Commands:
  /threads      what you talked about
  /why [ID]     why your last message, or the one with this id, went where it did
  /help         this
  /quit         leave; so does Ctrl-D"""


@click.command()
@click.option("--user", required=True, help="Who you are.")
@app_option
@unchecked_option
@home_option
def chat(user: str, app: str, unchecked: bool, home: Path | None) -> None:
    """Talk to the fleet as one user. With standard input from a pipe, each line is a message, answered before the next.

    What you write is durable before it is routed; leaving lets the turns in flight end.
    """
    settings = load_settings(home)
    check_message(Message(user, "hello"), settings.max_message_bytes)
    asyncio.run(_chat(app_for(app, settings, check_warmup=not unchecked), settings, user))


async def _chat(app: App, settings: Settings, user: str) -> None:
    async with Fleet(app, settings) as fleet:
        talk = _Talk(fleet, user)
        click.echo(f"{app.name} on {settings.home}, {models_line(fleet)}. /help lists the commands.")
        serving = asyncio.create_task(fleet.run())
        talking = asyncio.create_task(talk.run())
        done, open_ = await asyncio.wait({serving, talking}, return_when=asyncio.FIRST_COMPLETED)
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)
        for task in done:
            task.result()


class _Talk:
    """One user's side: takes lines, prints what the fleet decides and replies to this user."""

    def __init__(self, fleet: Fleet, user: str) -> None:
        self._fleet, self._user = fleet, user
        self._ledger = fleet.ledger
        self._last = ""
        self._heard: asyncio.Queue[Stored] = asyncio.Queue()
        fleet.on(self._hear)

    async def run(self) -> None:
        """Take lines until there are no more, or /quit."""
        if not sys.stdin.isatty():
            await self._take_all(piped_lines(), wait=True)
            return
        prompt = Prompt(f"{visible(self._user)}> ")
        writing = Writing(prompt.show)
        unlisten = self._fleet.partials.listen(writing.hear, self._user)
        printing = asyncio.create_task(self._print_as_heard(writing))
        try:
            await self._take_all(typed_lines(prompt, self._fleet.settings.home / "chat_history"), wait=False)
        finally:
            unlisten()
            printing.cancel()

    def _hear(self, stored: Stored) -> None:
        if stored.user == self._user and isinstance(stored.event, (MessageDecided, QuestionAsked, TurnEnded)):
            self._heard.put_nowait(stored)

    async def _print_as_heard(self, writing: Writing) -> None:
        while True:
            stored = await self._heard.get()
            if isinstance(stored.event, TurnEnded):
                writing.ended(stored.event.reply_id)
            self._print(stored)

    def _print(self, stored: Stored) -> None:
        event = stored.event
        if isinstance(event, MessageDecided):
            print_page(decision_page(event.decision))
        elif isinstance(event, QuestionAsked):
            print_page(question_page(event))
        elif isinstance(event, TurnEnded):
            print_page(reply_page(event, read_conversation(self._ledger, event.thread_id).agent))

    async def _take_all(self, lines: AsyncGenerator[str, None], *, wait: bool) -> None:
        async with aclosing(lines) as given:
            async for line in given:
                words = line.split()
                if not words:
                    continue
                if words[0] == "/quit":
                    return
                try:
                    if words[0].startswith("/"):
                        self._command(words)
                    else:
                        await self._send(line, wait=wait)
                except InputError as error:
                    click.echo(f"fleet: {error.message}", err=True)

    def _command(self, words: list[str]) -> None:
        match words:
            case ["/help"]:
                click.echo(_HELP)
            case ["/threads"]:
                print_threads(recent_threads(self._ledger, user=self._user))
            case ["/why", *ids] if len(ids) < 2 and (ids or self._last):
                print_page(render(explain(self._ledger, ids[0] if ids else self._last)))
            case ["/why"]:
                raise InputError("you have not written anything yet; /why ID asks about an earlier message")
            case ["/why", *_]:
                raise InputError("/why takes one message id, or none for your last message")
            case _:
                raise InputError(f"there is no command {words[0]}; /help lists them")

    async def _send(self, text: str, *, wait: bool) -> None:
        accepted = await self._fleet.accept(Message(self._user, text))
        self._last = accepted.message_id
        if wait:
            await self._fleet.reply_to(accepted.message_id)
            while not self._heard.empty():
                self._print(self._heard.get_nowait())
