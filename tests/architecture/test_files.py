"""What every file of the package keeps to: its size, its doors, its words."""

from __future__ import annotations

import ast

import pytest
from source_tree import PACKAGE, ROOT, files, imported

MOST_LINES = 320
DOORS = {
    "dbzero": {"fleet/graph/db.py"},
    "anthropic": {"fleet/llm/anthropic.py"},
    "jinja2": {"fleet/prompting/prompts.py"},
    "opentelemetry": {"fleet/audit/otel.py"},
    "sqlite3": ("fleet/ledger/", "fleet/documents/store.py", "fleet/demo/documents.py"),
    "prompt_toolkit": ("fleet/cli/",),
    "click": ("fleet/cli/",),
}


def test_no_file_is_longer_than_a_person_takes_in():
    long = {
        name: lines for name in files() if (lines := len((ROOT / name).read_text("utf-8").splitlines())) > MOST_LINES
    }
    assert not long, "a file that has grown past this is two nouns: split it"


@pytest.mark.parametrize("module", DOORS)
def test_a_dependency_has_one_door(module):
    through = {name for name, tree in files().items() for found, _ in imported(tree) if found.split(".")[0] == module}
    door = DOORS[module]
    assert through, f"nothing imports {module}: is it still needed?"
    assert all(name.startswith(door) for name in through) if isinstance(door, tuple) else through == door


def test_only_settings_read_the_environment():
    readers = {
        name
        for name, tree in files().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and any(a.name in ("environ", "getenv") for a in node.names)
        )
    }
    assert readers == {"fleet/settings.py"}


def test_only_the_clock_asks_for_the_time():
    readers = {
        name
        for name, tree in files().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today")
        and isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date")
    }  # fmt: skip
    assert readers == {"fleet/clock.py"}


def test_the_demo_uses_the_public_api_only():
    used = {
        (name, module)
        for name, tree in files().items()
        if name.startswith("fleet/demo/")
        for module, _ in imported(tree)
        if module.startswith("fleet.") and not module.startswith("fleet.demo")
    }
    assert used == set()


def test_nothing_is_awaited_in_a_transaction():
    """dbzero rolls an atomic block back together with what other tasks wrote meanwhile."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in files().items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.With, ast.AsyncWith))
        and any("atomic" in ast.unparse(item.context_expr) for item in node.items)
        and any(
            isinstance(each, (ast.Await, ast.AsyncFor, ast.AsyncWith)) for part in node.body for each in ast.walk(part)
        )
    ]
    assert found == []


@pytest.mark.parametrize("name", ["apply", "recent", "summary", "turns"])
def test_applying_an_event_needs_no_clock_no_chance_and_no_file(name):
    tree = files()[f"fleet/graph/{name}.py"]
    assert not {module.split(".")[0] for module, _ in imported(tree)} & {
        "time",
        "datetime",
        "random",
        "secrets",
        "os",
        "pathlib",
    }
    assert not {module for module, _ in imported(tree)} & {"fleet.clock", "fleet.settings", "fleet.log"}


def test_every_public_function_and_class_says_what_it_does():
    silent = []
    for name, tree in files().items():
        stack = [(tree, "")]
        while stack:
            scope, path = stack.pop()
            for node in scope.body:
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or node.name.startswith(
                    "_"
                ):
                    continue
                overload = any(ast.unparse(each) == "overload" for each in node.decorator_list)
                setter = any(ast.unparse(each).endswith(".setter") for each in node.decorator_list)
                if ast.get_docstring(node) is None and not overload and not setter and not inherited(node, scope):
                    silent.append(f"{name}: {path}{node.name}")
                if isinstance(node, ast.ClassDef):
                    stack.append((node, f"{path}{node.name}."))
    assert silent == []


def inherited(node, scope):
    """Whether a method is one that its base class has described."""
    return isinstance(scope, ast.ClassDef) and bool(scope.bases) and not isinstance(node, ast.ClassDef)


def test_every_module_says_what_it_is_and_what_it_offers():
    for name, tree in files().items():
        assert ast.get_docstring(tree), name
        offers = any(isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__" for n in tree.body)
        public = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]
        runs = any(isinstance(n, ast.If) and "__main__" in ast.unparse(n.test) for n in tree.body)
        assert offers or runs or not any(not n.name.startswith("_") for n in public), f"{name} has no __all__"


def test_no_word_is_left_for_later():
    later = ("TODO", "FIXME", "XXX", "NotImplementedError()", "pytest.skip", "xfail", "mark.skip")
    for folder in (PACKAGE, ROOT / "tests", ROOT / "prompts", ROOT / "warmup", ROOT / "examples_db"):
        for path in folder.rglob("*"):
            if path.suffix in (".py", ".md") and path.name != "test_files.py":
                text = path.read_text("utf-8")
                assert not [word for word in later if word in text], path
