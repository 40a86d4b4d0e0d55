"""`fleet whatif`: past messages decided again by another prompt, model or warmup."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from fleet.agents.app import import_app
from fleet.agents.catalog import Text
from fleet.audit.comparison import Comparison, Difference, compare
from fleet.audit.declared import Declarations
from fleet.audit.evaluate import HOSTED_CALLS
from fleet.audit.find import read_time
from fleet.audit.labels import labels
from fleet.audit.questions import Past, questions, select
from fleet.audit.whatif import Budget, Kept, decide_again, fingerprint
from fleet.cli.options import home_option, json_option, load_settings, redact_option
from fleet.cli.output import print_json
from fleet.cli.progress import progress_bar
from fleet.cli.text_file import read_text
from fleet.errors import InputError
from fleet.ledger.base import Ledger
from fleet.llm.base import Model
from fleet.llm.prices import known
from fleet.llm.registry import default_model, resolve_model
from fleet.prompting.warmup import compile_warmup
from fleet.runtime.home import Home
from fleet.settings import Settings

__all__ = ["whatif"]

_FILE = click.Path(path_type=Path)


@dataclass(frozen=True)
class _Asked:
    """What is to be other than it was. `app` lends its verbs to the warmup; `model` is the name."""

    prompt: Text | None
    warmup: Text | None
    model: str
    app: str
    budget: Budget
    concurrency: int

    @property
    def words(self) -> str:
        parts = [f"prompt {self.prompt.source}"] if self.prompt else []
        parts += [f"warmup {self.warmup.source}"] if self.warmup else []
        return f"What if: {', '.join([*parts, f'model {self.model}'])}"

    @property
    def note(self) -> str:
        """What to know about the result; "" for nothing."""
        deaf = self.prompt is not None and self.model.startswith("offline:")
        return (
            f"{self.model} does not read prompts: another one changes nothing; name a --model that does" if deaf else ""
        )


@click.command()
@click.option("--prompt", type=_FILE, help="The dispatcher's prompt in place of the one of then.")
@click.option("--model", default="", metavar="M", help="The model that routes [the one declared, or as for a worker].")
@click.option("--warmup", type=_FILE, help="The dispatcher's warmup; facts are rebuilt as they were.")
@click.option("--app", default="", metavar="MODULE:ATTR", help="With --warmup: whose own verbs the warmup may call.")
@click.option("--since", default="", metavar="TIME", help="Messages decided at this time or later (ISO 8601, UTC).")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the last N messages.")
@click.option("--concurrency", type=click.IntRange(min=1), metavar="N", help=f"Calls at a time [{HOSTED_CALLS}, or 1].")
@click.option(
    "--max-usd", type=click.FloatRange(min=0, min_open=True), metavar="USD", help="Stop before it costs more."
)
@click.option("--max-messages", type=click.IntRange(min=1), metavar="N", help="Stop after so many messages.")
@click.option("--state", type=_FILE, help="Where to keep what is done [in the home, whatif/…].")
@redact_option
@json_option
@home_option
def whatif(
    prompt: Path | None,
    model: str,
    warmup: Path | None,
    app: str,
    since: str,
    limit: int | None,
    concurrency: int | None,
    max_usd: float | None,
    max_messages: int | None,
    state: Path | None,
    redact: bool,
    as_json: bool,
    home: Path | None,
) -> None:
    """Decide past messages again with another prompt, model or warmup, and compare.

    What the model is shown is the stored transcript, word for word; with --warmup it is printed anew from the facts as
    they were. Nothing is dispatched and nothing is written to the ledger. Stopped or killed, the same command goes on
    where it was: what is done is in the state file. The two budgets are for all of it. Where messages have been
    labelled (`fleet audit label`), it is said who is right, and whether that is more than noise.
    """
    if prompt is None and warmup is None and not model:
        raise InputError("say what is to be other: --prompt FILE, --model M or --warmup FILE")
    settings = load_settings(home)
    place = Home(settings.home)
    with place.read_ledger() as ledger:
        head = ledger.head()[0]
        if not head:
            raise InputError("nothing has happened in this ledger yet")
        named = model or Declarations(ledger).at(head + 1).app.dispatcher.model or default_model("route", settings)
        calls = concurrency or (HOSTED_CALLS if named.startswith("anthropic:") else 1)
        budget = Budget(max_usd, max_messages)
        asked = _Asked(_text(prompt), _text(warmup), named, app, budget, calls)
        if asked.warmup:
            compile_warmup(asked.warmup)
        wanted = select(ledger, read_time(since) if since else None, limit)
        if not wanted:
            raise InputError("no message fits that a model was asked about")
        name = _name(ledger, asked)
        router = resolve_model(named, settings)
        with Kept(state or _default(place, name), name) as kept:
            silent = asyncio.run(_run(ledger, wanted, asked, router, kept, settings))
            found = compare(ledger, wanted, kept.again, labels(ledger))
            path = kept.path
    if redact:
        found, silent = _redacted(found, silent)
    _print(found, asked, wanted, silent, path, as_json)


async def _run(
    ledger: Ledger, wanted: list[Past], asked: _Asked, router: Model, kept: Kept, settings: Settings
) -> list[str]:
    left = [each for each in wanted if each.seq not in kept.again]
    own = import_app(asked.app) if asked.app else None
    try:
        with progress_bar("deciding again", len(left)) as advance:
            return await decide_again(
                questions(
                    ledger,
                    left,
                    prompt=asked.prompt,
                    warmup=asked.warmup,
                    count=settings.candidates,
                    dispatcher=own.dispatcher if own else None,
                    language_of=own.preferred_language_for if own else None,
                ),
                router,
                kept,
                budget=asked.budget,
                concurrency=asked.concurrency,
                max_tokens=settings.router_max_tokens,
                timeout_s=settings.model_timeout_s,
                done=advance,
            )
    finally:
        await router.aclose()


def _redacted(found: Comparison, silent: list[str]) -> tuple[Comparison, list[str]]:
    from fleet.audit.redact import KEPT, redact_value  # its rules take time to compile

    kept = KEPT | {"old", "old_thread", "new", "new_thread", "wanted"}
    differences = [Difference(**redact_value(vars(each), kept)) for each in found.differences]
    return replace(found, differences=differences), redact_value(silent)


def _text(path: Path | None) -> Text | None:
    return None if path is None else Text(str(path), read_text(path))


def _name(ledger: Ledger, asked: _Asked) -> str:
    first = next(ledger.read(limit=1)).chain
    words = (each.body if each else "" for each in (asked.prompt, asked.warmup))
    return fingerprint(first, asked.model, asked.app, *words)


def _default(home: Home, name: str) -> Path:
    """In the home; beside where the command is typed for a copied ledger file, or a home of somebody else's."""
    if home.path.is_dir() and home.writable:
        return home.path / "whatif" / f"{name[:12]}.jsonl"
    return Path(f"fleet-whatif-{name[:12]}.jsonl")


def _print(found: Comparison, asked: _Asked, wanted: list[Past], silent: list[str], state: Path, as_json: bool) -> None:
    missing = len(wanted) - found.n
    if as_json:
        said: dict[str, Any] = {"model": asked.model, "prompt": None, "warmup": None, "state": str(state)}
        said |= {kind: text.source for kind, text in (("prompt", asked.prompt), ("warmup", asked.warmup)) if text}
        said |= {"note": asked.note} if asked.note else {}
        said |= {"wanted": len(wanted), "complete": not missing, "unanswered": len(silent)}
        print_json(said | found.as_dict())
    else:
        from fleet.audit.whatif_page import whatif_page  # rich, which --json does without
        from fleet.cli.page import print_page

        print_page(whatif_page(found, asked.words, note=asked.note, priced=known(asked.model)))
    if silent:
        click.echo(f"fleet: {len(silent)} messages got no answer, the first: {silent[0]}", err=True)
    if missing > len(silent):
        click.echo(
            f"fleet: the budget stopped it after {found.n} of {len(wanted)} messages; with a larger one the same "
            "command goes on from there",
            err=True,
        )
