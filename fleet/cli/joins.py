"""Every join of an application: role ↔ prompt ↔ warmup ↔ examples ↔ tools ↔ models, each checked by itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.agents.app import App
from fleet.agents.catalog import Catalog, Definition
from fleet.cli.dry_run import route_problems, work_problems
from fleet.cli.verbs import calls_in, parameters_of, problems_in, snippets_of
from fleet.errors import FleetError
from fleet.llm.price_file import read_prices
from fleet.llm.prices import AS_OF
from fleet.llm.registry import default_model, resolve_model
from fleet.prompting.examples import examples_of
from fleet.prompting.prompts import default_prompt, render_prompt
from fleet.prompting.warmup import compile_warmup
from fleet.routing.rules import Rules
from fleet.runtime.outbox import check_channels
from fleet.settings import Settings

__all__ = ["Finding", "check_app"]

_ACTIONS = {"dispatch_to": ("thread",), "start_new_thread": ("agent", "language", "name", "default_example_id")}
_ROUTING_VERBS = {
    "find_agents": (),
    "recent_chat_threads": ("count",),
    "list_agent_examples": ("role",),
    "preferred_language_for": ("user",),
    "quote": ("text",),
}
_WORKING_VERBS = {"list_of_examples": (), "show_example": ("id",), "quote": ("text",)}


@dataclass(frozen=True)
class Finding:
    """One check: of what, which, whether it holds, and what was found (where it fails, what to mend)."""

    subject: str
    check: str
    ok: bool
    detail: str


def check_app(app: App, settings: Settings) -> Iterator[Finding]:
    """Every check of an application, as they are made. Opens no home and asks no model."""
    try:
        catalog = Catalog(
            app,
            default_worker_prompt=default_prompt("worker"),
            default_dispatcher_prompt=default_prompt("dispatcher"),
        )
    except FleetError as error:
        yield Finding("application", "files", False, error.message)  # noqa: FBT003
        return
    yield Finding("application", "files", True, f"{len(catalog.roles)} agents, data in {app.data or 'code alone'}")  # noqa: FBT003
    yield _finding("application", "orphans", _orphans(catalog), "every file belongs to a role")
    yield _finding(
        "application", "channels", _raised(lambda: check_channels(app)), "send_message functions fit a reply"
    )
    yield from _dispatcher(catalog)
    for definition in catalog.roles.values():
        yield from _role(definition, catalog)
    yield from _rules(app)
    yield from _models(app, settings)


def _finding(subject: str, check: str, problems: Iterable[str], fine: str) -> Finding:
    found = list(dict.fromkeys(problems))
    return Finding(subject, check, not found, "; ".join(found) or fine)


def _raised(attempt: Callable[[], object]) -> list[str]:
    """What an attempt raises, as a list of one, or none."""
    try:
        attempt()
    except FleetError as error:
        return [error.message]
    except Exception as error:  # code of the application: whatever it raises is the finding
        return [f"{type(error).__name__}: {error}"]
    return []


def _dispatcher(catalog: Catalog) -> Iterator[Finding]:
    definition, dispatcher = catalog.dispatcher, catalog.app.dispatcher
    declared = [(name, getattr(dispatcher, name)) for name in _ACTIONS]
    unfit = (
        f"{name} takes {inspect.signature(fn)}, and not {', '.join(_ACTIONS[name])}"
        for name, fn in declared
        if fn is not None and not _takes(fn, _ACTIONS[name], by_name=name == "start_new_thread")
    )
    yield _finding("dispatcher", "actions", unfit, "dispatch_to and start_new_thread fit the grammar")
    raised = _raised(lambda: dispatcher.context)
    yield _finding("dispatcher", "context", raised, "init_context runs")
    own = {} if raised else {name: parameters_of(verb) for name, verb in dispatcher.context.items() if callable(verb)}
    known = {**_ROUTING_VERBS, **own}
    missing = (f"append_tool({name!r}) promises a name that the warmup does not have" for name in dispatcher.tool_names
               if name not in known)  # fmt: skip
    yield _finding("dispatcher", "tool names", missing, ", ".join(dispatcher.tool_names) or "none promised")
    yield from _words(definition, catalog, {**_ACTIONS, **known}, "the dispatcher")
    yield _finding(
        "dispatcher", "dry run", [] if raised else _safely(route_problems(catalog)), "what it prints reads back"
    )


def _role(definition: Definition, catalog: Catalog) -> Iterator[Finding]:
    role, tools = definition.role, definition.agent.tools if definition.agent else ()
    verbs = {tool.name: tuple(tool.arguments.model_fields) for tool in tools}
    yield _finding(
        role,
        "description",
        [] if definition.description else ["it has none: the router cannot know what it is for"],
        definition.description,
    )
    yield from _words(definition, catalog, {**verbs, **_WORKING_VERBS}, role)
    unread = _raised(lambda: examples_of(definition))
    fine = f"{len(definition.examples)} examples"
    yield _finding(
        role, "examples", unread or _demonstrated(definition, verbs), fine if definition.examples else "none"
    )
    yield _finding(role, "dry run", _safely(work_problems(definition)), "what it prints reads back")


def _words(definition: Definition, catalog: Catalog, verbs: dict[str, tuple[str, ...]], who: str) -> Iterator[Finding]:
    """The checks on a prompt and a warmup."""
    rendered: list[str] = []
    raised = _raised(lambda: rendered.append(render_prompt(definition, catalog)))
    yield _finding(definition.role, "prompt", raised, f"{definition.prompt.source} renders")
    calls = (call for text in rendered for snippet in snippets_of(text) for call in calls_in(snippet))
    yield _finding(definition.role, "verbs", problems_in(calls, verbs, who), "every verb that the prompt names exists")
    raised = _raised(lambda: compile_warmup(definition.warmup))
    yield _finding(definition.role, "warmup", raised, f"{definition.warmup.source} compiles")


def _demonstrated(definition: Definition, verbs: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """What is wrong with the calls that example files demonstrate."""
    for number, example in examples_of(definition).items():
        source = definition.examples[number].source
        for line in example.body.splitlines():
            if line.startswith("Call:"):
                problems = problems_in(calls_in(line.removeprefix("Call:").strip()), verbs, definition.role)
                yield from (f"{source}: {problem}" for problem in problems)


def _safely(problems: Iterator[str]) -> Iterator[str]:
    """The problems, and as the last of them what looking for them raised."""
    try:
        yield from problems
    except Exception as error:  # code of the application, run outside its fleet
        yield f"{type(error).__name__}: {error}"


def _rules(app: App) -> Iterator[Finding]:
    """Whether the channel rules, if there are any, name agents that are there."""
    if app.rules is not None:
        rules = app.rules
        yield _finding(
            "rules", rules.name, _raised(lambda: Rules(rules, app.agents)), "every rule names declared agents"
        )


def _models(app: App, settings: Settings) -> Iterator[Finding]:
    chosen = {"router": app.dispatcher.model or default_model("route", settings), "fallback": settings.fallback_model}
    chosen |= {role: agent.model or default_model("work", settings) for role, agent in app.agents.items()}
    if chosen["router"] == "none":
        del chosen["router"], chosen["fallback"]
    elif chosen["fallback"] == "none":
        del chosen["fallback"]
    yield Finding("models", "prices", True, _priced(settings))  # noqa: FBT003
    for name in dict.fromkeys(chosen.values()):
        users = ", ".join(who for who, model in chosen.items() if model == name)
        yield _finding("models", name or "(none)", _raised(lambda name=name: _resolve(name, settings)), f"for {users}")  # type: ignore[misc]


def _priced(settings: Settings) -> str:
    """Of when the prices are that costs are counted with."""
    if not settings.prices:
        return f"list prices of {AS_OF}"
    own = read_prices(Path(settings.prices))
    return f"list prices of {AS_OF}, and {settings.prices} of {own.as_of} for {', '.join(own.prices)}"


def _resolve(name: str, settings: Settings) -> None:
    asyncio.run(resolve_model(name, settings).aclose())


def _takes(fn: Callable[..., object], names: tuple[str, ...], *, by_name: bool) -> bool:
    try:
        signature = inspect.signature(fn)
        if by_name:
            signature.bind(**dict.fromkeys(names))
        else:
            signature.bind(*names)
    except TypeError:
        return False
    except ValueError:  # a function that does not tell its signature
        return True
    return True


def _orphans(catalog: Catalog) -> Iterator[str]:
    """Files of the data folder that no role reads."""
    data = catalog.app.data
    if data is None:
        return
    definitions = [catalog.dispatcher, *catalog.roles.values()]
    read = {definition.prompt.source for definition in definitions}
    read |= {definition.warmup.source for definition in definitions} | {"warmup/worker.py"}
    read |= {text.source for definition in definitions for text in definition.examples.values()}
    for folder in ("prompts", "warmup", "examples_db"):
        for path in sorted((data / folder).rglob("*")):
            name = path.relative_to(data)
            if path.is_file() and not _is_litter(name) and name.as_posix() not in read:
                yield f"{name.as_posix()} belongs to no role ({', '.join(catalog.roles)})"


def _is_litter(name: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in name.parts)
