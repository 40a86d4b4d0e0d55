"""What is for ever: event types with their versions and fields, durable classes with theirs.

The snapshot is tests/data/frozen.json. A field may be added with a default; anything else is a new VERSION and an
upcast. To add: `python tests/architecture/test_frozen.py` prints what there is now.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FROZEN = Path(__file__).parents[1] / "data" / "frozen.json"


def events() -> dict:
    from fleet.ledger.events import EVENT_TYPES

    return {
        kind: {"version": event.VERSION, "fields": fields(event)} for kind, event in sorted(EVENT_TYPES.items())
    } | {f"record {each.__name__}": {"version": 1, "fields": fields(each)} for each in records()}


def records() -> list:
    from fleet.ledger import events as ev

    return [ev.Attempt, ev.Candidate, ev.Decision]


def fields(model) -> dict[str, str]:
    return {
        name: (
            "needed" if field.is_required() else f"default {json.dumps(field.get_default(call_default_factory=True))}"
        )
        for name, field in model.model_fields.items()
    }


def durable() -> dict:
    import dataclasses

    import dbzero

    from fleet.graph import records, shelf

    classes = [each for each in (*vars(records).values(), *vars(shelf).values()) if isinstance(each, type)]
    return {
        identity(each): sorted(name for name in stored(each) if not name.startswith("__"))
        for each in classes
        if dbzero.is_memo(each)
    } | {
        f"record {name}": [field.name for field in dataclasses.fields(kind)]
        for name, kind in sorted(shelf.Record.kinds.items())
    }


def identity(cls) -> str:
    import inspect

    source = inspect.getsource(cls)
    return source.split('id="', 1)[1].split('"', 1)[0]


def stored(cls) -> set[str]:
    """The fields that instances have: assigned in __init__, or with a class-level default."""
    import ast
    import inspect
    import textwrap

    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    names = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            names.add(node.attr)
    return names


def test_event_types_versions_and_fields_are_as_frozen():
    frozen, now = json.loads(FROZEN.read_text("utf-8"))["events"], events()
    assert not set(frozen) - set(now), "an event type was removed or renamed: ledgers hold it for ever"
    for kind, was in frozen.items():
        found = now[kind]
        if found["version"] > was["version"]:
            continue  # a new version, which needs an upcast: see the next test
        for name, how in was["fields"].items():
            assert found["fields"].get(name) == how, f"{kind}.{name} changed without a new VERSION"
        added = {name: how for name, how in found["fields"].items() if name not in was["fields"]}
        assert all(how.startswith("default") for how in added.values()), f"{kind}: an added field needs a default"
    assert now == frozen, "add what is new to tests/data/frozen.json"


def test_every_old_version_can_be_read():
    from fleet.ledger.events import _UPCASTS, EVENT_TYPES

    for kind, event in EVENT_TYPES.items():
        for old in range(1, event.VERSION):
            assert (kind, old) in _UPCASTS


def test_durable_classes_and_their_fields_are_as_frozen():
    frozen, now = json.loads(FROZEN.read_text("utf-8"))["durable"], durable()
    for name, was in frozen.items():
        assert not set(was) - set(now[name]), f"{name}: a field of a durable class was removed"
    assert now == frozen, "add what is new to tests/data/frozen.json; a field added later has a class-level default"


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"events": events(), "durable": durable()}, indent=1, ensure_ascii=False) + "\n")
