"""A worker that sends traces while it runs."""

from __future__ import annotations

import signal
from pathlib import Path

from support.collector import Collector
from support.commands import Running, at_rest, call, refused, run, wait_for

from fleet.audit.span import trace_id


def send(home: Path, *message_ids: str) -> None:
    for message_id in message_ids:
        done = call("send", "--home", home, "--user", "ana", "--id", message_id, "How many days of leave are there?")
        assert done.returncode == 0


def test_every_message_that_ended_is_one_trace_as_an_export_makes_it(tmp_path: Path) -> None:
    home, ids = tmp_path / "home", [f"m-{number}" for number in range(5)]
    send(home, *ids[:2])
    with Collector() as collector:
        with Running("worker", "--home", home, FLEET_OTEL_ENDPOINT=collector.url) as worker:
            worker.read_until("fleet: serving", err=True)
            send(home, *ids[2:])
            wait_for(home, lambda ledger: at_rest(ledger) and bool(ledger.version("message:m-4") == 2))
            worker.signal(signal.SIGTERM)
            assert worker.end() == 0
        live = {(each.trace_id, each.span_id): each for each in collector.spans()}
        assert {each.trace_id.hex() for each in live.values()} == {f"{trace_id(each):032x}" for each in ids}
        collector.requests.clear()
        assert call("audit", "export", "--home", home, "--endpoint", collector.url).returncode == 0
        exported = {(each.trace_id, each.span_id): each for each in collector.spans()}
    assert live == exported
    assert "traces.lost" not in "".join(worker.said)
    assert not [each for each in live.values() if any(a.key in ("fleet.text", "fleet.reply") for a in each.attributes)]


def test_without_its_collector_a_worker_works_and_says_what_is_lost(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Collector() as away:
        pass
    with Running("worker", "--home", home, FLEET_OTEL_ENDPOINT=away.url, OTEL_EXPORTER_OTLP_TIMEOUT="1") as worker:
        worker.read_until("fleet: serving", err=True)
        send(home, "m-1", "m-2", "m-3")
        wait_for(home, lambda ledger: at_rest(ledger) and bool(ledger.version("message:m-3") == 2))
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0
    said = "".join(worker.said)
    assert said.count("traces.failed") == 1
    assert f"{away.url}/v1/traces did not take the traces" in said
    assert "traces.lost messages=3\n" in said


def test_an_address_that_is_none_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    done = run("worker", "--home", tmp_path / "home", FLEET_OTEL_ENDPOINT="collector:4318")
    assert refused(done) == 'a collector\'s address looks like http://localhost:4318, not "collector:4318"'
    assert not (tmp_path / "home").exists()
