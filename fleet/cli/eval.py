"""`fleet eval`: how well the dispatcher routes labelled cases."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path

import click

from fleet.audit.cases import read_cases, read_offered
from fleet.audit.evaluate import HOSTED_CALLS, decider_for, evaluate
from fleet.audit.runs import Against, Run, compare_runs, read_run, save_run
from fleet.audit.scoring import Outcome, Score
from fleet.cli.options import home_option, json_option, load_settings
from fleet.cli.output import print_json
from fleet.cli.progress import progress_bar
from fleet.cli.text_file import read_text
from fleet.errors import ConfigError, InputError
from fleet.llm.base import Model
from fleet.llm.registry import default_model, resolve_model
from fleet.settings import Settings

__all__ = ["eval_"]

_OFFLINE = "offline:router"


@click.command("eval")
@click.argument("cases", type=click.Path(path_type=Path))
@click.option("--agents", type=click.Path(path_type=Path), help="The agents' file [agents.json beside CASES].")
@click.option("--model", default="", metavar="M", help="The model that routes [as a worker would choose].")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N cases.")
@click.option(
    "--prior",
    type=click.FloatRange(0, 1),
    metavar="P",
    help=f"For {_OFFLINE}: the share of messages that continue the newest thread.",
)
@click.option("--prompt", type=click.Path(path_type=Path), help="The dispatcher's prompt in place of the default one.")
@click.option("--save", type=click.Path(path_type=Path), help="Keep the run in this file.")
@click.option("--against", type=click.Path(path_type=Path), help="Compare with the run that this file keeps.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw it too, into FILE.png or FILE.svg.")
@json_option
@home_option
@click.pass_context
def eval_(
    ctx: click.Context,
    cases: Path,
    agents: Path | None,
    model: str,
    limit: int | None,
    prior: float | None,
    prompt: Path | None,
    save: Path | None,
    against: Path | None,
    plot: Path | None,
    as_json: bool,
    home: Path | None,
) -> None:
    """Run the dispatcher over the labelled cases in CASES (.jsonl or .jsonl.gz) and score it.

    Warmup, prompt, model and grammar are the real ones, and what `fleet tune` wrote into the home counts; no ledger is
    opened. A refused answer counts as wrong. Shares come with 95 % intervals; of what went wrong, the commonest is
    shown with the messages that the model was surest of. With --against it is said whether the difference between two
    runs over the same cases is more than noise (McNemar's exact test, 5 %); exit code 1 if this one is worse by more
    than that.
    """
    if plot is not None:
        from fleet.audit.picture import check_picture

        check_picture(plot)  # before models are asked for nothing
    settings = load_settings(home)
    words = read_text(prompt) if prompt else None
    old = read_run(against) if against else None
    offered = read_offered(cases, agents)
    total = sum(1 for _ in islice(read_cases(cases, offered), limit))  # all is read once before anything is asked
    if not total:
        raise InputError(f"{cases} holds no case")
    chosen = model or default_model("route", settings)
    router = _router(chosen, prior, settings)
    if chosen.startswith("offline"):
        _say_tuned(settings)
    found = islice(read_cases(cases, offered), limit)

    async def run() -> list[Outcome]:
        fallback = (
            router if settings.fallback_model == router.name else resolve_model(settings.fallback_model, settings)
        )
        decider = decider_for(offered, router, fallback, settings, words)
        concurrency = HOSTED_CALLS if router.name.startswith("anthropic:") else 1
        try:
            with progress_bar("routing", total) as advance:
                return await evaluate(found, offered, decider, concurrency=concurrency, done=lambda _: advance())
        finally:
            await router.aclose()
            if fallback is not router:
                await fallback.aclose()

    outcomes = asyncio.run(run())
    kept = Run.of(router.name, str(prompt or ""), islice(read_cases(cases, offered), limit), outcomes)
    if save:
        save_run(save, kept)
    compared = compare_runs(old, kept) if old else None
    score = Score.of(outcomes)
    if plot is not None:
        from fleet.audit.score_chart import draw_score

        draw_score(score, router.name, plot)
    _print(score, router.name, compared, as_json)
    if plot is not None:
        click.echo(f"drawn in {plot}", err=True)
    if compared and compared.paired.verdict == "worse":
        ctx.exit(1)


def _print(score: Score, model: str, against: Against | None, as_json: bool) -> None:
    if score.errors:
        click.echo(f"fleet: {len(score.errors)} cases got no answer, the first: {score.errors[0]}", err=True)
    if as_json:
        print_json(score.as_dict() | ({"against": against.as_dict()} if against else {}))
        return
    from fleet.audit.score_page import score_page  # rich, which --json does without
    from fleet.cli.page import print_page

    print_page(score_page(score, model))
    if against:
        from fleet.audit.runs_page import against_page

        print_page(against_page(against))


def _say_tuned(settings: Settings) -> None:
    """Where the home's labels have their say, the score is not that of the router as it came."""
    from fleet.llm.offline.tuning import TUNING_FILE, read_tuning

    tuning = read_tuning(settings.home)
    if tuning is not None:
        click.echo(f"fleet: {_OFFLINE} is tuned by {settings.home / TUNING_FILE} ({tuning.id})", err=True)


def _router(name: str, prior: float | None, settings: Settings) -> Model:
    if prior is None:
        return resolve_model(name, settings)
    if name != _OFFLINE:
        raise ConfigError(f"--prior is for {_OFFLINE}; {name} has none")
    from fleet.llm.offline.router import OfflineRouter
    from fleet.llm.offline.tuning import read_tuning

    return OfflineRouter(prior, read_tuning(settings.home))
