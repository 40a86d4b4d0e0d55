"""`fleet audit export` as OpenTelemetry: to a file, and to a collector that decodes what it is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.audited import DAY, make_day
from support.collector import Collector
from support.commands import call, refused, run
from support.fleets import open_fleet

from fleet import Message
from fleet.audit.otel import otlp_lines
from fleet.audit.span import span_id, trace_id
from fleet.runtime.home import Home


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_day(tmp_path_factory.mktemp("day") / "home")


def export(home: Path, *words: object, **variables: str) -> Any:
    return call("audit", "export", "--home", home, *words, **variables)


def spans(line: str) -> list[dict[str, Any]]:
    (resource,) = json.loads(line)["resourceSpans"]
    (scope,) = resource["scopeSpans"]
    return list(scope["spans"])


def test_a_line_a_message_in_the_order_decided(day: Path, tmp_path: Path) -> None:
    out = tmp_path / "traces.jsonl"
    done = export(day, "--format", "otlp", "--out", out)
    assert (done.returncode, done.stdout) == (0, f"{len(DAY)} decisions in {out}\n")
    lines = out.read_text("utf-8").splitlines()
    assert len(lines) == len(DAY)
    for line, (message_id, *_) in zip(lines, DAY, strict=True):
        found = spans(line)
        assert {each["traceId"] for each in found} == {f"{trace_id(message_id):032x}"}
        root, *rest = found
        assert root["spanId"] == f"{span_id(message_id, 'message'):016x}"
        assert "parentSpanId" not in root
        assert {each["parentSpanId"] for each in rest} <= {each["spanId"] for each in found}
    (resource,) = json.loads(lines[0])["resourceSpans"]
    said = {each["key"]: each["value"]["stringValue"] for each in resource["resource"]["attributes"]}
    assert said["service.name"] == "fleet"
    assert resource["scopeSpans"][0]["schemaUrl"] == "https://opentelemetry.io/schemas/1.41.1"
    again = export(day, "--format", "otlp").stdout
    assert again == out.read_text("utf-8")  # exporting twice gives the same trace


def test_a_collector_gets_the_same_spans(day: Path) -> None:
    lines = export(day, "--format", "otlp").stdout.splitlines()
    written = {(each["traceId"], each["spanId"]): each for line in lines for each in spans(line)}
    with Collector() as collector:
        done = export(day, "--endpoint", collector.url, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20x")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{len(DAY)} messages, {len(written)} spans, to {collector.url}\n"
        assert collector.paths == ["/v1/traces"]
        assert collector.headers[0]["authorization"] == "Bearer x"
        sent = collector.spans()
    assert {(each.trace_id.hex(), each.span_id.hex()) for each in sent} == set(written)
    for each in sent:
        same = written[each.trace_id.hex(), each.span_id.hex()]
        assert each.name == same["name"]
        assert each.start_time_unix_nano == int(same["startTimeUnixNano"])
        assert each.end_time_unix_nano == int(same["endTimeUnixNano"])
        assert each.parent_span_id.hex() == same.get("parentSpanId", "")
        assert [event.name for event in each.events] == [event["name"] for event in same.get("events", [])]
    failed = [each for each in sent if each.status.code == 2 and not each.parent_span_id]
    assert sorted(each.status.message for each in failed) == [
        "the gate ended it as an error",
        "the reply was not delivered",
        "the turn ended as failed",
    ]


def test_only_what_is_asked_for_goes_to_a_path_of_its_own(day: Path) -> None:
    with Collector() as collector:
        done = export(day, "--endpoint", f"{collector.url}/otlp/in", "--user", "ana", "--action", "dispatch_to")
        assert done.stdout.startswith("1 message, ")
        assert collector.paths == ["/otlp/in"]
        roots = [each for each in collector.spans() if not each.parent_span_id]
    assert [each.trace_id.hex() for each in roots] == [f"{trace_id('m-friday'):032x}"]


async def test_texts_only_with_content_and_redacted_if_wanted(tmp_path: Path) -> None:
    async with open_fleet(tmp_path) as fleet:
        await fleet.accept(Message("ana", "My name is Rosalind Murchison, mail ros@example.org", "m-1"))
        await fleet.idle()
    plain = export(tmp_path, "--format", "otlp").stdout
    told = export(tmp_path, "--format", "otlp", "--content").stdout
    redacted = export(tmp_path, "--format", "otlp", "--content", "--redact").stdout
    for word in ("Murchison", "ros@example.org"):
        assert word not in plain
        assert told.count(word) > 3
        assert word not in redacted
    assert "My name is [name], mail [e-mail]" in redacted
    assert [each["spanId"] for each in spans(told)] == [each["spanId"] for each in spans(redacted)]


def test_a_collector_that_refuses_is_one_line_and_exit_code_2(day: Path) -> None:
    with Collector(401) as collector:
        said = refused(run("audit", "export", "--home", day, "--endpoint", collector.url))
    assert said.startswith(f"{collector.url}/v1/traces did not take the traces: ")
    assert "401" in said
    assert said.endswith("nothing was sent")


def test_a_collector_that_is_away_is_one_line_and_exit_code_75(day: Path) -> None:
    with Collector() as collector:
        pass
    done = run("audit", "export", "--home", day, "--endpoint", collector.url, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (75, "", 1)
    assert done.stderr.startswith(f"fleet: {collector.url}/v1/traces did not take the traces: ")


def test_a_collector_that_is_busy_is_asked_again(day: Path) -> None:
    with Collector(503, 200) as collector:
        assert export(day, "--endpoint", collector.url, "--user", "eve", "--user", "ben").returncode == 0
        assert len(collector.paths) == 2
        assert len([each for each in collector.spans() if not each.parent_span_id]) == 3


def test_what_was_sent_before_a_refusal_is_named(day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.audit.otel._AT_ONCE", 10)
    with Collector(200, 400) as collector:
        done = export(day, "--endpoint", collector.url)
        assert len(collector.requests) == 1
        taken = {each.trace_id.hex() for each in collector.spans()}
        after = int(done.stderr.rsplit("--after ", 1)[1])
        collector.answers = [200]
        assert export(day, "--endpoint", collector.url, "--after", after).returncode == 0
        everything = [each.trace_id.hex() for each in collector.spans() if not each.parent_span_id]
    assert done.returncode == 2
    assert len(everything) == len(set(everything)) == len(DAY)
    assert set(everything[: len(taken)]) == taken


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--endpoint", "localhost:4318"], "a collector's address looks like http://localhost:4318, not"),
        (["--endpoint", "http://127.0.0.1:1", "--out", "x"], "name one place: --out FILE or --endpoint URL"),
        (["--endpoint", "http://127.0.0.1:1", "--format", "csv"], "--endpoint is for --format otlp, not csv"),
        (["--content"], "--content is for --format otlp, not jsonl"),
    ],
)
def test_what_does_not_go_together_is_refused(day: Path, words: list[str], said: str) -> None:
    assert said in refused(run("audit", "export", "--home", day, *words))


def test_without_the_extra_it_says_what_to_install(day: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n\n\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'opentelemetry.sdk':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n\n\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    said = refused(run("audit", "export", "--home", day, "--format", "otlp", modules=(tmp_path,)))
    assert said.endswith("pip install 'fleet-runtime[otel]'")
    assert run("audit", "export", "--home", day, modules=(tmp_path,)).returncode == 0


def test_one_message_at_a_time_is_held(day: Path) -> None:
    read = []
    with Home(day).read_ledger() as ledger:

        def found() -> Any:
            for stored in ledger.read(types=("message.decided",)):
                read.append(stored.seq)
                yield stored

        lines = otlp_lines(ledger, found())
        for count in range(1, 4):
            next(lines)
            assert len(read) == count
