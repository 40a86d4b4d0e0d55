"""`fleet audit stats`, as it is typed."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.audited import DAY, PRICED, make_day
from support.commands import call, refused, run

from fleet.audit.stats_page import DAYS_SHOWN
from fleet.ledger import batch
from fleet.ledger.base import Draft
from fleet.ledger.events import Decision, MessageDecided
from fleet.runtime.home import Home


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_day(tmp_path_factory.mktemp("day") / "home")


def counted(home: Path, *words: str) -> dict[str, Any]:
    done = call("audit", "stats", "--json", "--home", str(home), *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def page(home: Path, *words: str) -> str:
    done = call("audit", "stats", "--home", str(home), *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_day_is_counted_as_it_was(day: Path) -> None:
    found = counted(day)
    assert found["decisions"] == len(DAY) == 17
    assert found["actions"] == {"start_new_thread": 12, "dispatch_to": 2, "drop": 1, "error": 1, "human": 1}
    assert found["new_share"] == 12 / 14
    assert found["by"] == {"model": 10, "gate": 4, "fallback": 3}
    assert (found["judged"], found["retried"], found["retry_rate"]) == (13, 1, 1 / 13)
    assert (found["fallbacks"], found["fallback_rate"]) == ({"router": 2, "human": 1}, 3 / 13)
    assert found["verdicts"]["thread_index_out_of_range"] == 1
    assert found["agents"]["researcher"] == {"start_new_thread": 1}


def test_it_agrees_with_a_count_of_the_exported_rows(day: Path) -> None:
    for words in ([], ["--user", "dan"], ["--fallback"], ["--agent", "clerk"], ["--model", PRICED]):
        found = counted(day, *words)
        rows = [json.loads(line) for line in call("audit", "export", "--home", str(day), *words).stdout.splitlines()]
        assert rows
        assert found["decisions"] == len(rows)
        assert found["actions"] == dict(Counter(row["action"] for row in rows))
        assert found["verdicts"] == dict(Counter(verdict for row in rows for verdict in row["verdicts"]))
        routing = [each for each in found["calls"] if each["purpose"] == "routing"]
        for each in routing:
            own = [call for row in rows for call in row["attempts"] if call["model"] == each["model"]]
            assert each["calls"] == len(own)
            assert each["tokens"]["input"] == sum(call["input_tokens"] for call in own)
            assert each["tokens"]["cache_read"] == sum(call["cache_read_tokens"] for call in own)
            assert each["cost_usd"] == pytest.approx(sum(call["cost_usd"] for call in own))
            assert each["accepted"] == sum(call["verdict"] == "ok" for call in own)
        waits = sorted(sum(row["latency_us"].values()) for row in rows if row["latency_us"])
        assert found["latency_us"]["total"]["max"] == waits[-1]
        assert found["latency_us"]["total"]["p50"] == pytest.approx(waits[(len(waits) - 1) // 2], rel=0.01)
        assert sum(day_["decisions"] for day_ in found["days"]) == len(rows)


def test_calls_of_workers_count_unless_the_filter_is_about_decisions(day: Path) -> None:
    whole = counted(day)
    assert whole["answering"] is True
    with Home(day).read_ledger() as ledger:
        steps = list(ledger.read(types=["step.model"]))
        of_dan = [each for each in steps if each.user == "dan"]

    def answered(found: dict[str, Any]) -> int:
        return sum(each["calls"] for each in found["calls"] if each["purpose"] == "answering")

    assert answered(whole) == len(steps) > len(of_dan) > 0
    assert answered(counted(day, "--user", "dan")) == len(of_dan)
    assert answered(counted(day, "--after", str(steps[2].seq))) == len(steps) - 3
    assert answered(counted(day, "--model", "test:worker")) == len(steps)
    assert answered(counted(day, "--model", PRICED)) == 0
    for words in (["--agent", "clerk"], ["--fallback"], ["--text", "Friday"]):
        found = counted(day, *words)
        assert (found["answering"], answered(found)) == (False, 0)
        assert "calls of workers' models are left out" in page(day, *words)
    assert "left out" not in page(day)


def test_the_page_says_it_in_words(day: Path) -> None:
    lines = {" ".join(line.split()) for line in page(day).splitlines()}
    assert {
        "started a new one 12 70.6 %",
        "continued a thread 2 11.8 %",
        "left to a person 1 5.9 %",
        "in all 17",
        "asked again after a refused answer 1 7.7 % *",
        "thread_index_out_of_range 1 6.2 %",
        "researcher 1 7.1 % 1 0",
    } <= lines
    (priced,) = [each for each in lines if each.startswith(f"{PRICED} routing")]
    assert re.fullmatch(rf"{PRICED} routing 10 100.0 % [\d.]+ (µs|ms) [\d.]+ (µs|ms) \$0\.\d{{6}}", priced), priced
    (tokens,) = [each for each in lines if each.startswith("in all claude")]
    assert re.fullmatch(rf"in all {PRICED} routing 12 k 8 k 300 \$0\.\d{{6}}", tokens), tokens
    assert any(each.startswith("test:worker answering") and "no list price" in each for each in lines)


def test_nothing_that_fits_says_so(day: Path) -> None:
    assert page(day, "--user", "nobody") == "no decision fits\n"
    found = counted(day, "--user", "nobody")
    assert (found["decisions"], found["new_share"], found["retry_rate"], found["days"]) == (0, None, None, [])


def test_days_are_those_of_utc_and_the_page_shows_the_last_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = 1_772_409_599_999_999  # 2026-03-01T23:59:59.999999Z
    moments = iter([first, *(first + 1 + number * 86_400_000_000 for number in range(40))])
    monkeypatch.setattr(batch, "now_us", lambda: next(moments))
    with Home(tmp_path).open_ledger() as ledger:
        for number in range(41):
            decided = MessageDecided(
                message_id=f"m{number}", user="ana", text="", decision=Decision(by="gate", outcome="drop")
            )
            ledger.append_now(Draft(f"message:m{number}", 0, (decided,), "ana"))
    days = [each["day"] for each in counted(tmp_path)["days"]]
    assert (days[:2], days[-1], len(days)) == (["2026-03-01", "2026-03-02"], "2026-04-10", 41)
    shown = re.findall(r"^2026-\d\d-\d\d", page(tmp_path), re.M)
    assert shown == days[-DAYS_SHOWN:]
    assert "10 earlier days are not shown: --until, or --json" in page(tmp_path)
    assert [each["day"] for each in counted(tmp_path, "--until", "2026-03-01T23:59:59.999999")["days"]] == days[:1]


def test_refusals_are_one_line(day: Path, tmp_path: Path) -> None:
    assert "a time looks like" in refused(call("audit", "stats", "--home", str(day), "--since", "soon"))
    said = refused(call("audit", "stats", "--home", str(day), "--plot", str(tmp_path / "a.pdf")))
    assert said == f"{tmp_path / 'a.pdf'}: a chart's file ends with .png or .svg"


def test_without_matplotlib_the_extra_is_named(day: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import importlib.util as found; real = found.find_spec\n"
        "found.find_spec = lambda name, *more: None if name == 'matplotlib' else real(name, *more)\n"
        "from fleet.cli.main import main; main()"
    )
    import subprocess
    import sys

    from support.commands import environment

    done = subprocess.run(
        [sys.executable, "-c", script, "audit", "stats", "--home", str(day), "--plot", str(tmp_path / "a.png")],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert "install the extra `plot` (pip install 'fleet-runtime[plot]')" in refused(done)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_chart_is_drawn_whole(day: Path, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / f"chart.{ending}"
    done = call("audit", "stats", "--home", str(day), "--plot", str(file), "--json")
    assert (done.returncode, done.stderr) == (0, f"drawn in {file}\n")
    assert json.loads(done.stdout)["decisions"] == len(DAY)
    drawn = file.read_bytes()
    if ending == "png":
        assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
        assert drawn.endswith(b"IEND\xaeB`\x82")
    else:
        said = re.findall(r">([^<>]+)</text>", drawn.decode())
        assert {"17 decisions", "latency of routing", "continued", "asked again", f"routing: {PRICED}"} <= set(said)
    assert list(tmp_path.iterdir()) == [file]
    call("audit", "stats", "--home", str(day), "--plot", str(file))
    assert file.read_bytes() == drawn


def test_a_chart_of_nothing_is_one_too(day: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = call("audit", "stats", "--home", str(day), "--user", "nobody", "--plot", str(tmp_path / "a.svg"))
    assert (done.returncode, done.stdout) == (0, "no decision fits\n")
    assert "0 decisions" in (tmp_path / "a.svg").read_text()


def test_as_a_process_on_a_copied_ledger_file(day: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(Home(day).ledger_file.read_bytes())
    done = run("audit", "stats", "--home", copy, "--json")
    assert json.loads(done.stdout) == counted(day)
