"""Tools: schemas from hints and docstrings, arguments checked, and what a function has to be to be one."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from fleet import AppEvent, ToolContext, ToolError, reducer, tool
from fleet.agents.tool import Tool
from fleet.errors import ConfigError

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def context(**fields):
    given = {"user": "ana", "thread_id": "t", "job_id": "j", "call_id": "c", "idempotency_key": "k", "now": NOW}
    return ToolContext(**given, state={}, **fields)


@tool(effect="read")
def find(
    context: ToolContext, day: str, limit: int = 3, kind: Literal["early", "late"] | None = None, tags: list[str] = ()
) -> str:
    """Find shifts.

    Only those that are open.

    Args:
        day: the day, as YYYY-MM-DD
        limit: at most so many
    """
    return f"{context.user} {day} {limit} {kind} {list(tags)}"


def test_the_schema_is_what_the_model_may_say_and_nothing_else():
    block = Tool.of(find).as_block()
    assert block["name"] == "find"
    assert block["description"] == "Find shifts. Only those that are open.\nEffect: read."
    schema = block["input_schema"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["day"]
    assert list(schema["properties"]) == ["day", "limit", "kind", "tags"]
    assert schema["properties"]["day"] == {"type": "string", "description": "the day, as YYYY-MM-DD"}
    assert schema["properties"]["limit"]["default"] == 3
    assert "context" not in str(schema)
    assert Tool.of(find).signature.startswith("find(day: ")


async def test_a_call_binds_arguments_and_gives_text():
    found = Tool.of(find)
    bound = found.bind({"day": "2026-11-27", "limit": "5"})
    assert bound["limit"] == 5
    assert await found.call(bound, context()) == "ana 2026-11-27 5 None []"
    assert find(context(), "x") == "ana x 3 None []", "the function itself stays callable"


async def test_results_that_are_no_text_are_json():
    async def shifts() -> dict[str, object]:
        """List."""
        return {"day": NOW, "who": ["Ĉio"], "n": 1.5, "none": None}

    assert await Tool.of(shifts).call({}, context()) == (
        '{"day": "2026-11-21T00:00:00Z", "who": ["Ĉio"], "n": 1.5, "none": null}'
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "find was not run: day: Field required"),
        ({"day": "x", "limit": "hunter2"}, "limit: Input should be a valid integer"),
        ({"day": "x", "kind": "hunter2"}, "kind: Input should be 'early' or 'late'"),
        ({"day": "x", "hunter": 2}, "hunter: Extra inputs are not permitted"),
        ({"day": "x", "context": {"user": "root"}}, "context: Extra inputs are not permitted"),
        ({"day": ["hunter2"], "limit": []}, "day: Input should be a valid string; limit: "),
    ],
)
def test_wrong_arguments_are_named_without_what_was_in_them(given, told):
    with pytest.raises(ToolError) as refused:
        Tool.of(find).bind(given)
    assert told in refused.value.message
    assert "hunter2" not in refused.value.message


def test_tools_with_effects_take_no_near_miss():
    @tool(effect="write")
    def book(days: int) -> str:
        """Book."""
        return str(days)

    assert Tool.of(book).bind({"days": 2}) == {"days": 2}
    with pytest.raises(ToolError, match="days: Input should be a valid integer"):
        Tool.of(book).bind({"days": "2"})


class Size(Enum):
    SMALL = "small"


def test_a_tool_with_effects_takes_what_json_has_no_type_for():
    @tool(effect="write")
    def book(day: date, price: Decimal, size: Size, span: tuple[int, int] = (9, 17)) -> str:
        """Book."""
        return ""

    given = {"day": "2026-11-27", "price": "9.90", "size": "small"}
    bound = {"day": date(2026, 11, 27), "price": Decimal("9.90"), "size": Size.SMALL}
    assert Tool.of(book).bind(given) == {**bound, "span": (9, 17)}
    assert Tool.of(book).bind({**given, "span": [8, 12]})["span"] == (8, 12)
    assert Tool.of(book).spelled_out(given) == {**given, "span": [9, 17]}
    for wrong in ({"day": "Friday"}, {"day": 20260101}, {"size": "huge"}, {"span": ["9", 17]}):
        with pytest.raises(ToolError, match=f"book was not run: {next(iter(wrong))}"):
            Tool.of(book).bind({**given, **wrong})


class Passenger(BaseModel):
    name: str
    seats: dict[str, int] = {}


class Trip(BaseModel):
    model_config = {"extra": "allow"}
    passengers: list[Passenger]


def test_a_schema_is_closed_however_deep():
    @tool(effect="write")
    def travel(trip: Trip) -> str:
        """Travel."""
        return ""

    found = Tool.of(travel)
    schema = found.input_schema
    closed = [schema["additionalProperties"], *(each["additionalProperties"] for each in schema["$defs"].values())]
    assert closed == [False] * 3
    assert schema["$defs"]["Passenger"]["properties"]["seats"]["additionalProperties"] == {"type": "integer"}
    good = {"trip": {"passengers": [{"name": "ana", "seats": {"window": 1}}]}}
    assert found.bind(good)["trip"].passengers[0].seats == {"window": 1}
    for wrong, where in (
        ({"trip": {"passengers": [], "class": "first"}}, "trip.class"),
        ({"trip": {"passengers": [{"name": "ana", "vip": "hunter2"}]}}, "trip.passengers.0.vip"),
    ):
        with pytest.raises(ToolError) as refused:
            found.bind(wrong)
        assert refused.value.message == f"travel was not run: {where}: Extra inputs are not permitted"


def test_an_undecorated_function_counts_as_external():
    def send(to: Annotated[str, Field(description="whom")]) -> str:
        """Send."""
        return to

    assert (Tool.of(send).effect, Tool.of(Tool.of(send)).name) == ("external", "send")
    assert Tool.of(send).input_schema["properties"]["to"]["description"] == "whom"


def test_a_tool_may_have_a_name_and_a_limit_of_its_own():
    @tool(effect="read", timeout_s=2.5, name="look_up")
    async def anything(q: str) -> str:
        """Look."""
        return q

    assert (Tool.of(anything).name, Tool.of(anything).timeout_s) == ("look_up", 2.5)


def varargs(*args: str) -> None: ...
def kwargs(**more: str) -> None: ...
def positional(a: str, /) -> None: ...
def bare(a) -> None: ...
def unknown(a: Nothing) -> None: ...  # noqa: F821
def opaque(a: threading.Lock) -> None: ...
def hidden(_a: int) -> None: ...


@pytest.mark.parametrize(
    ("fn", "why"),
    [
        (varargs, "'args' cannot be named by a model"),
        (kwargs, "'more' cannot be named by a model"),
        (positional, "'a' cannot be named by a model"),
        (bare, "'a' needs a type annotation"),
        (unknown, "name 'Nothing' is not defined"),
        (opaque, "tool opaque: Unable to generate pydantic-core schema"),
        (hidden, "tool hidden: Fields must not use names with leading underscores"),
        (lambda: None, "a lambda cannot be a tool"),
    ],
)
def test_what_cannot_be_a_tool_is_refused_when_it_is_declared(fn, why):
    with pytest.raises(ConfigError) as refused:
        tool(fn)
    assert why in refused.value.message
    with pytest.raises(ConfigError, match="effect must be read, write or external"):
        tool(effect="maybe")(find)


async def decides(arguments, context) -> bool:
    return False


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"confirm": decides}, "confirm must be a plain function, not an async one: it decides at once"),
        ({"confirm": "sometimes"}, "confirm must be never, always or a function, not 'sometimes'"),
        ({"approver": "nobody"}, "approver must be user or operator, not 'nobody'"),
        ({"timeout_s": 0}, "timeout_s must be above 0, not 0"),
        ({"question": "Shall I pay {amount}?"}, "names something that is no argument"),
    ],
)
def test_what_a_tool_cannot_be_declared_as(options, why):
    with pytest.raises(ConfigError) as refused:
        tool(**options)(find)
    assert why in refused.value.message


def test_reducers_have_names_for_ever():
    class Nameless(AppEvent):
        day: str

    class Moved(AppEvent):
        NAME = "test_tools.moved"
        day: str

    class Taken(AppEvent):
        NAME = "test_tools.moved"

    with pytest.raises(ConfigError, match="needs a NAME"):
        reducer(Nameless)(lambda state, event: None)
    reducer(Moved)(lambda state, event: None)
    with pytest.raises(ConfigError, match=r"two application events are named 'test_tools\.moved'"):
        reducer(Taken)(lambda state, event: None)
    given = context()
    given.emit(Moved(day="x"))
    with pytest.raises(ToolError, match="no @reducer is registered"):
        given.emit(Nameless(day="x"))
    assert given.emitted == [Moved(day="x")]
