"""The wheel, installed elsewhere, runs the demo from what it carries."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from source_tree import ROOT


def run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or done.stdout
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (built,) = out.glob("fleet_runtime-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel in a folder of its own; what it depends on comes from the environment that runs the tests."""
    target = tmp_path_factory.mktemp("site")
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel)
    run(sys.executable, *pip, cwd=target)
    return target


def test_the_wheel_carries_code_types_words_and_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"fleet/py.typed", "fleet/__init__.py", "fleet/prompting/default_worker.md"} <= names
    for folder in ("prompts", "warmup", "examples_db"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"fleet/_shipped/{path.relative_to(ROOT).as_posix()}" in names
    data = {path.relative_to(ROOT).as_posix() for path in (ROOT / "fleet").rglob("*") if path.is_file()}
    assert {name for name in data if not name.endswith((".pyc", ".pyo"))} <= names
    assert not [name for name in names if name.startswith(("tests/", "fleet/tests"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_wheel_runs_the_demo_with_its_own_words(installed, tmp_path):
    where = "import fleet, fleet.demo.agents as demo; print(fleet.__file__); print(demo.app.data)"
    found = run(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(installed)).stdout.split()
    assert found == [str(installed / "fleet" / "__init__.py"), str(installed / "fleet" / "_shipped")]
    home = {"PYTHONPATH": str(installed), "FLEET_HOME": str(tmp_path / "home")}
    demo = run(sys.executable, "-m", "fleet.cli", "demo", cwd=tmp_path, **home)
    assert "Friday is better" in demo.stdout
    check = run(sys.executable, "-m", "fleet.cli", "check", "--app", "fleet.demo:app", cwd=tmp_path, **home)
    assert check.stdout


def test_the_command_of_the_wheel_is_fleet(wheel):
    with zipfile.ZipFile(wheel) as files:
        (points,) = [name for name in files.namelist() if name.endswith("entry_points.txt")]
        assert "fleet = fleet.cli.main:main" in files.read(points).decode()
