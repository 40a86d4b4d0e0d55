"""`fleet demo`: a scripted day through a real fleet, each message with its decision and its reply."""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click
from rich.text import Text

from fleet.agents.app import import_app
from fleet.audit.explain import explain
from fleet.audit.page import render
from fleet.cli.apps import last_started
from fleet.cli.exchange import decided_of, decision_page, ended_of, message_line, reply_page
from fleet.cli.options import DEMO_APP, home_option, load_settings
from fleet.cli.page import print_page
from fleet.cli.pretty import data
from fleet.errors import InputError
from fleet.ledger.base import Ledger
from fleet.runtime.fleet import Fleet
from fleet.runtime.intake import Message
from fleet.settings import Settings

__all__ = ["demo", "message_id_of"]

_DAY = "fleet.demo.day"
_ASKED = 3  # the line, from 1, that the demo ends with the `why` of


@click.command()
@home_option
def demo(home: Path | None) -> None:
    """Send a scripted day of two people through a real fleet, and show every decision and reply.

    It works on a fresh home (--home, FLEET_HOME or a new temporary folder). With ANTHROPIC_API_KEY Claude routes and
    answers, without it the offline models do. Cut off and started again on the same home, it goes on where it was.
    """
    settings = load_settings(home)
    if home is None and settings.home == Settings().home:
        settings = load_settings(Path(tempfile.mkdtemp(prefix="fleet-demo-")))
    app = import_app(DEMO_APP)
    started = last_started(settings)
    if started is not None and started.app != app.name:
        raise InputError(
            f"home {settings.home} belongs to the application {started.app}; the demo needs one of its own"
        )
    # An application like any other: the command line names it, and imports nothing of it.
    day = import_module(_DAY).DAY
    asyncio.run(_run(Fleet(app, settings), [(line.user, line.text) for line in day]))


def message_id_of(number: int) -> str:
    """The id of the day's message with this number, from 1: the same in every run, so that none is sent twice."""
    return f"day-{number:02}"


async def _run(opening: Fleet, day: Sequence[tuple[str, str]]) -> None:
    """Send the messages of `day`, (user, text), one after another, each once the one before is answered."""
    home = opening.settings.home
    async with opening as fleet:
        print_page(_models(fleet.settings, fleet.models.names))
        print_page(Text.assemble("Home: ", data(str(home)), " (it stays when the demo ends)"))
        done = sum(_is_answered(fleet.ledger, message_id_of(number)) for number in range(1, len(day) + 1))
        if done == len(day):
            click.echo(f"This home has the whole day already: {done} messages, each routed once and answered once.\n")
        elif done:
            click.echo(f"This home has the first {done} messages already; going on with the next one.\n")
        else:
            click.echo(f"{len(day)} messages of two people:\n")
        for number, (user, text) in enumerate(day, 1):
            message_id = message_id_of(number)
            if number <= done:
                continue
            await fleet.accept(Message(user, text, message_id))
            print_page(message_line(message_id, user, text))
            await fleet.reply_to(message_id)
            _print_outcome(fleet.ledger, message_id)
        await fleet.idle()
        asked = message_id_of(_ASKED)
        click.echo(f"$ fleet why {asked}")
        print_page(render(explain(fleet.ledger, asked)))
    click.echo(_next(home, asked))


def _print_outcome(ledger: Ledger, message_id: str) -> None:
    decided = decided_of(ledger, message_id)
    if decided is None:
        return
    print_page(decision_page(decided.decision))
    ended = ended_of(ledger, decided)
    if ended is not None:
        print_page(reply_page(ended, decided.decision.agent))
    click.echo()


def _is_answered(ledger: Ledger, message_id: str) -> bool:
    decided = decided_of(ledger, message_id)
    return decided is not None and (not decided.decision.job_id or ended_of(ledger, decided) is not None)


def _models(settings: Settings, names: dict[str, str]) -> Text:
    in_force = Text.assemble(data(names["router"]), " routes, ", data(names["information_retriever"]), " answers.")
    if settings.anthropic_api_key:
        return in_force
    return Text.assemble("No ANTHROPIC_API_KEY is set, so the offline models are used: ", in_force)


def _next(home: Path, asked: str) -> str:
    where = f"--home {shlex.quote(str(home))}"
    lines = (
        (f"fleet why {asked} {where}", "why that message went there"),
        (f"fleet threads list {where}", "what was talked about"),
        (f"fleet audit list {where}", "every decision, in order"),
        (f"fleet store verify {where}", "whether everything on disk holds"),
        (f"fleet chat --user ana {where}", "write to it yourself"),
        ("fleet agents; fleet check", "who answers, and whether it all fits together"),
    )
    width = max(len(command) for command, _ in lines)
    return "\n".join(["", "What to try next:", *(f"  {command:{width}}  {about}" for command, about in lines)])
