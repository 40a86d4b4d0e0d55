"""Tools: plain Python functions that a worker's model may call.

The schema comes from type hints and the docstring; it is closed. A parameter annotated `ToolContext` is injected
and never shown to the model. `effect` says what the runtime must guard: `read` looks, `write` changes the
application's state in the graph (through `context.emit`), `external` touches the world outside.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeVar, get_type_hints, overload

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from fleet.errors import ConfigError, ToolError

__all__ = ["AppEvent", "Effect", "Tool", "ToolContext", "reducer", "reducers", "tool"]

Effect = Literal["read", "write", "external"]
F = TypeVar("F", bound=Callable[..., Any])
_ANY = TypeAdapter(Any)


class AppEvent(BaseModel):
    """An application's own event: subclass it, name it, give it fields, register a `@reducer` for it.

    `NAME` is for ever (it is what the ledger holds); `VERSION` rises when the fields change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    NAME: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1


Reducer = Callable[[Any, Any], None]
_REDUCERS: dict[str, tuple[type[AppEvent], Reducer]] = {}


def reducer(event: type[AppEvent]) -> Callable[[Reducer], Reducer]:
    """Register the function that applies `event` to the application's durable state: `fn(state, event) -> None`.

    `state` is the durable dict of the application. The function must be pure: no clock, no randomness, no I/O; it is
    called once when the event happens, and again whenever the graph is rebuilt.
    Raises: ConfigError if the event has no NAME or another class took it.
    """

    def register(fn: Reducer) -> Reducer:
        if not event.NAME:
            raise ConfigError(f'{event.__qualname__} needs a NAME, such as NAME = "shop.order_placed"')
        known = _REDUCERS.get(event.NAME)
        if known and (known[0].__module__, known[0].__qualname__) != (event.__module__, event.__qualname__):
            raise ConfigError(f"two application events are named {event.NAME!r}; names are for ever and unique")
        _REDUCERS[event.NAME] = (event, fn)
        return fn

    return register


def reducers() -> Mapping[str, tuple[type[AppEvent], Reducer]]:
    """Every registered reducer by event name."""
    return _REDUCERS


@dataclass
class ToolContext:
    """What a tool call knows about itself; injected, never visible to the model.

    `state` is the application's durable dict: read it, never assign to it; change it with `emit`.
    `idempotency_key` is the same for every try of the same call; `metadata` is what the job's dispatch gave it.
    """

    user: str
    thread_id: str
    job_id: str
    call_id: str
    idempotency_key: str
    now: datetime
    state: Any
    metadata: Mapping[str, Any] = field(default_factory=dict)
    emitted: list[AppEvent] = field(default_factory=list)

    def emit(self, event: AppEvent) -> None:
        """Record an application event together with this call's result: both happen, once, or neither."""
        if event.NAME not in _REDUCERS:
            raise ToolError(f"no @reducer is registered for {event.NAME or type(event).__qualname__!r}")
        self.emitted.append(event)


@dataclass(frozen=True)
class Tool:
    """A function with its name, schema and effect. Build it with `Tool.of`; declare it with `@tool`."""

    name: str
    description: str
    fn: Callable[..., Any]
    effect: Effect
    timeout_s: float | None
    arguments: type[BaseModel]
    context_name: str
    input_schema: Mapping[str, Any]

    @property
    def signature(self) -> str:
        """`name(arg: type, …)` as prompts show it, without the injected parameter."""
        parameters = inspect.signature(self.fn, eval_str=True).parameters.values()
        given = [p for p in parameters if p.name != self.context_name]
        return f"{self.name}({', '.join(str(p) for p in given)})"

    def as_block(self) -> dict[str, Any]:
        """The tool as the Messages API declares it."""
        text = f"{self.description}\nEffect: {self.effect}."
        return {"name": self.name, "description": text, "input_schema": dict(self.input_schema)}

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The model's arguments as Python values.

        Raises: ToolError naming each wrong field, without echoing what was in it.
        """
        try:
            model = self.arguments.model_validate(dict(given), strict=self.effect != "read")
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors())
            raise ToolError(f"{self.name} was not run: {wrong}") from None
        return {name: getattr(model, name) for name in type(model).model_fields}

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        """Run the tool on arguments that `bind` gave; the result as the text that the model is told.

        A plain function runs on the event loop's thread, where the graph may be read; keep it short, or make it async.
        """
        extra = {self.context_name: context} if self.context_name else {}
        result = self.fn(**arguments, **extra)
        if inspect.isawaitable(result):
            result = await result
        return (
            result if isinstance(result, str) else json.dumps(_ANY.dump_python(result, mode="json"), ensure_ascii=False)
        )

    @classmethod
    def of(cls, fn: Callable[..., Any] | Tool) -> Tool:
        """The tool that a function is; an undecorated one counts as `external`.

        Raises: ConfigError for var-args, positional-only or unannotated parameters, or a lambda.
        """
        if isinstance(fn, Tool):
            return fn
        marked: tuple[Effect, float | None, str] = getattr(fn, "__fleet_tool__", ("external", None, ""))
        effect, timeout_s, name = marked
        return _build(fn, effect, timeout_s, name)


@overload
def tool(fn: F) -> F: ...
@overload
def tool(*, effect: Effect = "external", timeout_s: float | None = None, name: str = "") -> Callable[[F], F]: ...
def tool(
    fn: F | None = None, *, effect: Effect = "external", timeout_s: float | None = None, name: str = ""
) -> F | Callable[[F], F]:
    """Mark a function as a tool and say what it does to the world; the function itself stays callable.

    `timeout_s` bounds an async tool (default: the setting tool_timeout_s).
    Raises: ConfigError as `Tool.of` does, at once.
    """

    def mark(f: F) -> F:
        if effect not in ("read", "write", "external"):
            raise ConfigError(f"tool {f.__name__}: effect must be read, write or external, not {effect!r}")
        f.__fleet_tool__ = (effect, timeout_s, name)  # type: ignore[attr-defined]
        Tool.of(f)
        return f

    return mark if fn is None else mark(fn)


def _build(fn: Callable[..., Any], effect: Effect, timeout_s: float | None, name: str) -> Tool:
    name = name or getattr(fn, "__name__", "")
    if not name.isidentifier():
        raise ConfigError(f"a tool needs a name; {fn!r} has none (a lambda cannot be a tool)")
    doc = docstring_parser.parse(inspect.getdoc(fn) or "")
    about = {p.arg_name: p.description or "" for p in doc.params}
    try:
        hints = get_type_hints(fn, include_extras=True)
    except NameError as error:
        raise ConfigError(f"tool {name}: {error}; annotations must be importable names") from None
    fields: dict[str, Any] = {}
    context_name = ""
    for parameter in inspect.signature(fn).parameters.values():
        hint = hints.get(parameter.name)
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigError(f"tool {name}: parameter {parameter.name!r} cannot be named by a model; spell it out")
        if hint is ToolContext:
            context_name = parameter.name
        elif hint is None:
            raise ConfigError(f"tool {name}: parameter {parameter.name!r} needs a type annotation")
        else:
            default = ... if parameter.default is parameter.empty else parameter.default
            said = about.get(parameter.name)
            fields[parameter.name] = (hint, Field(default, description=said) if said else Field(default))
    arguments = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    schema = arguments.model_json_schema()
    for part in (schema, *schema.get("properties", {}).values()):
        part.pop("title", None)
    text = " ".join(filter(None, (doc.short_description, doc.long_description))) or name.replace("_", " ")
    return Tool(name, text, fn, effect, timeout_s, arguments, context_name, schema)
