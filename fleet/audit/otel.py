"""Messages' traces as OpenTelemetry's: as lines of OTLP JSON, or sent to a collector. The only door to opentelemetry.

A trace has ids of its own, made from the message's, so that exporting it again gives the same trace. Tracing is a copy
of the ledger, and may lose something; the ledger is the record.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from fleet.audit import semconv as sem
from fleet.audit.content import Content
from fleet.audit.span import Span, span_id, trace_id
from fleet.audit.spans import spans_of
from fleet.errors import InputError, ReceiverError
from fleet.ledger.base import Ledger, Stored
from fleet.prompting.quote import quote
from fleet.version import __version__

__all__ = ["Receiver", "otlp_lines"]

_AT_ONCE = 512  # spans in a request
_KINDS = {"internal": SpanKind.INTERNAL, "client": SpanKind.CLIENT, "consumer": SpanKind.CONSUMER}
_PATH = "/v1/traces"
_IDS = frozenset({"traceId", "spanId", "parentSpanId"})
_CODE = re.compile(r"code: (\d{3})")
_TRY_LATER = (408, 429)


def otlp_lines(ledger: Ledger, found: Iterable[Stored], *, content: bool = False) -> Iterator[str]:
    """One line a message: its whole trace as OTLP JSON (`TracesData`), as collectors read it from a file.

    `content` adds the texts of users, models and tools.
    """
    texts = Content(ledger) if content else None
    scope = _Scope()
    for stored in found:
        data = MessageToDict(encode_spans(scope.readable(spans_of(ledger, stored, texts))), use_integers_for_enums=True)
        yield json.dumps(_with_hex_ids(data), ensure_ascii=False) + "\n"


class Receiver:
    """A collector that takes OTLP over HTTP. `url` is its address; without a path, /v1/traces is meant.

    Headers, certificates, compression and the time-out are those of the environment's OTEL_EXPORTER_OTLP_* variables.
    Raises: InputError for what is no http or https URL.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"a collector's address looks like http://localhost:4318, not {quote(url)}")
        self.url = url if parts.path.strip("/") else parts._replace(path=_PATH).geturl()
        self._exporter = OTLPSpanExporter(endpoint=self.url)
        self._scope = _Scope()
        self._said = _Said()

    def send(self, ledger: Ledger, found: Iterable[Stored], *, content: bool = False) -> int:
        """Send the traces of these decisions, a few hundred spans in a request; how many spans that were.

        Raises: ReceiverError where it could not be reached, InputError where it refused; both name the last event
        whose trace was taken.
        """
        texts = Content(ledger) if content else None
        waiting: list[ReadableSpan] = []
        sent, last, taken = 0, 0, 0
        for stored in found:
            waiting += self._scope.readable(spans_of(ledger, stored, texts))
            last = stored.seq
            if len(waiting) >= _AT_ONCE:
                sent, taken = sent + self._post(waiting, taken), last
                waiting = []
        return sent + self._post(waiting, taken)

    def _post(self, spans: list[ReadableSpan], taken: int) -> int:
        if not spans:
            return 0
        with self._said as said:
            if self._exporter.export(spans) is SpanExportResult.SUCCESS:
                return len(spans)
        code = _CODE.search(said.last)
        text = f"{self.url} did not take the traces: {quote(said.last or 'no reason given')}; "
        text += f"go on with --after {taken}" if taken else "nothing was sent"
        if code and 400 <= int(code[1]) < 500 and int(code[1]) not in _TRY_LATER:
            raise InputError(text)
        raise ReceiverError(text)

    def close(self) -> None:
        """Let go of the connection."""
        self._exporter.shutdown()


class _Scope:
    """Who says so: the resource and the library that all spans carry."""

    def __init__(self) -> None:
        own = Resource({sem.SERVICE_NAME: "fleet", sem.SERVICE_VERSION: __version__})
        self._resource = own.merge(OTELResourceDetector().detect())  # OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
        self._scope = InstrumentationScope("fleet", __version__, sem.SCHEMA_URL)

    def readable(self, spans: Iterable[Span]) -> list[ReadableSpan]:
        return [self._readable(span) for span in spans]

    def _readable(self, span: Span) -> ReadableSpan:
        links = [Link(_context(*span.link))] if span.link else []
        return ReadableSpan(
            span.name,
            _context(span.message_id, span.part),
            _context(span.message_id, span.parent) if span.parent else None,
            self._resource,
            dict(span.attributes),
            [Event(each.name, dict(each.attributes), each.at * 1000) for each in span.events],
            links,
            _KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=span.start * 1000,
            end_time=span.end * 1000,
            instrumentation_scope=self._scope,
        )


def _context(message_id: str, part: str) -> SpanContext:
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace_id(message_id), span_id(message_id, part), is_remote=False, trace_flags=sampled)


def _with_hex_ids(data: dict[str, Any]) -> dict[str, Any]:
    """OTLP's JSON has ids in hex, where protobuf's own has them in base64. Changes `data`."""
    for resource in data["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for part in (span, *span.get("links", ())):
                    for name in _IDS & part.keys():
                        part[name] = base64.b64decode(part[name]).hex()
    return data


class _Said(logging.Handler):
    """What the exporter says while it works: its reasons, which it gives to the log alone."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        self._logger = logging.getLogger("opentelemetry.exporter")

    def emit(self, record: logging.LogRecord) -> None:
        self.last = " ".join(record.getMessage().split())[:300]

    def __enter__(self) -> _Said:
        self.last = ""
        self._propagated, self._logger.propagate = self._logger.propagate, False
        self._logger.addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagated
