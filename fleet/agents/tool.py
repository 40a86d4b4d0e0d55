"""Tools: plain Python functions that a worker's model may call.

The schema comes from type hints and the docstring; it is closed. A parameter annotated `ToolContext` is injected
and never shown to the model. `effect` says what the runtime must guard: `read` looks, `write` changes the
application's state in the graph (through `context.emit`), `external` touches the world outside.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_type_hints, overload

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, ValidationError, create_model

from fleet.agents.aside import run_aside
from fleet.agents.context import ToolContext
from fleet.errors import ConfigError, ToolError

__all__ = ["Approver", "Confirm", "Effect", "Question", "Tool", "tool"]

Effect = Literal["read", "write", "external"]
Approver = Literal["user", "operator"]
Confirm = Literal["never", "always"] | Callable[[Mapping[str, Any], ToolContext], bool]
Question = str | Callable[[Mapping[str, Any]], str]
F = TypeVar("F", bound=Callable[..., Any])
_ANY = TypeAdapter(Any)
_ASKED = {
    "user": " The person is asked when it is called; do not ask before.",
    "operator": " A person on the staff is asked when it is called.",
}


@dataclass(frozen=True)
class _Declared:
    """What `@tool` was given. `confirm` None means what the effect asks for."""

    effect: Effect = "external"
    confirm: Confirm | None = None
    idempotent: bool = False
    permission: str = ""
    approver: Approver = "user"
    question: Question = ""
    timeout_s: float | None = None
    name: str = ""


@dataclass(frozen=True)
class Tool:
    """A function with its name, schema and effect. Build it with `Tool.of`; declare it with `@tool`."""

    name: str
    description: str
    fn: Callable[..., Any]
    effect: Effect
    confirm: Confirm
    idempotent: bool
    permission: str
    approver: Approver
    question: Question
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
        asked = "" if self.confirm == "never" else _ASKED[self.approver]
        text = f"{self.description}\nEffect: {self.effect}.{asked}"
        return {"name": self.name, "description": text, "input_schema": dict(self.input_schema)}

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The model's arguments as Python values; strictly as JSON has them, where the tool has effects.

        Raises: ToolError naming each wrong field, without echoing what was in it.
        """
        model = self._validated(given)
        return {name: getattr(model, name) for name in type(model).model_fields}

    def spelled_out(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a call comes to, as JSON: these arguments, and the defaults of those left out. Raises: ToolError."""
        given = self._validated(given).model_dump(mode="json", fallback=lambda value: type(value).__name__)
        return dict(given)

    def _validated(self, given: Mapping[str, Any]) -> BaseModel:
        try:
            return self.arguments.model_validate_json(
                json.dumps(dict(given), allow_nan=False), strict=self.effect != "read", extra="forbid"
            )
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors())
        except (ValueError, TypeError, RecursionError):
            wrong = "the arguments are no JSON"
        raise ToolError(f"{self.name} was not run: {wrong}")

    def asks_for(self, arguments: Mapping[str, Any], context: ToolContext) -> bool:
        """Whether somebody has to approve this call first; a `confirm` function that raises does not say no."""
        if not callable(self.confirm):
            return self.confirm == "always"
        try:
            return bool(self.confirm(arguments, context))
        except Exception:
            return True

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        """Run the tool on arguments that `bind` gave; the result as the text that the model is told.

        An async function runs on the event loop, a plain one in a thread of its own.
        """
        extra = {self.context_name: context} if self.context_name else {}
        if inspect.iscoroutinefunction(self.fn):
            result = await self.fn(**arguments, **extra)
        else:
            result = await run_aside(self.fn, arguments, self.context_name, context)
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
        return _build(fn, getattr(fn, "__fleet_tool__", _Declared()))


@overload
def tool(fn: F) -> F: ...
@overload
def tool(
    *,
    effect: Effect = "external",
    confirm: Confirm | None = None,
    idempotent: bool = False,
    permission: str = "",
    approver: Approver = "user",
    question: Question = "",
    timeout_s: float | None = None,
    name: str = "",
) -> Callable[[F], F]: ...
def tool(fn: F | None = None, **options: Any) -> F | Callable[[F], F]:
    """Mark a function as a tool and say what it does to the world; the function itself stays callable.

    `confirm`: `never`, `always` or `fn(arguments, context) -> bool`, whether a person has to approve a call before it
    runs; the default is `always` for write and external, `never` for read. `approver` says whose word counts: `user`
    (whoever the thread belongs to, or an operator) or `operator` alone; `question` is what is asked, a format string
    over the arguments ("Move the shift from {day} to {new_day}?") or a function of them, defaults included; a text
    among them that could pass for the question's own words comes in quotes.
    `idempotent`: calling again with the same idempotency key is the same as calling once, so a call that a crash cut
    off runs again. `permission` is what the user must have. `timeout_s` bounds a call (default: the setting
    tool_timeout_s).
    Raises: ConfigError as `Tool.of` does, at once.
    """

    def mark(f: F) -> F:
        declared = _Declared(**options)
        _build(f, declared)  # what is wrong with it is said at once, and it is no tool then
        f.__fleet_tool__ = declared  # type: ignore[attr-defined]
        return f

    return mark if fn is None else mark(fn)


def _build(fn: Callable[..., Any], declared: _Declared) -> Tool:
    name = declared.name or getattr(fn, "__name__", "")
    if not name.isidentifier():
        raise ConfigError(f"a tool needs a name; {fn!r} has none (a lambda cannot be a tool)")
    confirm = _checked(name, declared)
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
    try:
        if isinstance(declared.question, str):
            declared.question.format(**dict.fromkeys(fields, ""))
    except (LookupError, ValueError, AttributeError):
        raise ConfigError(f"tool {name}: question {declared.question!r} names something that is no argument") from None
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    try:
        arguments = create_model(f"{name}_arguments", __config__=config, **fields)
        schema = arguments.model_json_schema()
    except (PydanticUserError, NameError) as error:
        raise ConfigError(f"tool {name}: {str(error).splitlines()[0]}") from None
    for part in (schema, *schema.get("properties", {}).values()):
        part.pop("title", None)
    _close(schema)
    text = " ".join(filter(None, (doc.short_description, doc.long_description))) or name.replace("_", " ")
    return Tool(
        name, text, fn, declared.effect, confirm, declared.idempotent, declared.permission, declared.approver,
        declared.question, declared.timeout_s, arguments, context_name, schema,
    )  # fmt: skip


def _close(schema: Any) -> None:
    """Let no object of the schema have fields that it does not name, however deep it lies."""
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _close(part)
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema["additionalProperties"] = False


def _checked(name: str, declared: _Declared) -> Confirm:
    """The `confirm` in force. Raises: ConfigError for an option that is none."""
    if declared.effect not in ("read", "write", "external"):
        raise ConfigError(f"tool {name}: effect must be read, write or external, not {declared.effect!r}")
    if declared.approver not in ("user", "operator"):
        raise ConfigError(f"tool {name}: approver must be user or operator, not {declared.approver!r}")
    confirm: Confirm = declared.confirm or ("never" if declared.effect == "read" else "always")
    if confirm not in ("never", "always") and not callable(confirm):
        raise ConfigError(f"tool {name}: confirm must be never, always or a function, not {confirm!r}")
    if inspect.iscoroutinefunction(confirm):
        raise ConfigError(f"tool {name}: confirm must be a plain function, not an async one: it decides at once")
    if declared.timeout_s is not None and not declared.timeout_s > 0:
        raise ConfigError(f"tool {name}: timeout_s must be above 0, not {declared.timeout_s!r}")
    return confirm
