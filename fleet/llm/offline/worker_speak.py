"""Put results into a few plain words, and nothing into them that the tools did not say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fleet.llm.offline.worker_phrases import phrase
from fleet.llm.offline.worker_slots import words
from fleet.llm.offline.worker_values import spoken_date

__all__ = ["answer", "parsed", "speak"]

_LONGEST = 700  # characters of one result that are told
_TEXT_KEYS = ("answer", "text", "body", "content", "snippet", "excerpt", "summary", "message", "description")
_TITLE_KEYS = ("title", "name", "source", "page", "document", "heading", "section")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b(?!T)")


def parsed(result: str) -> Any:
    """A tool result as data: what its JSON says, else the text itself."""
    text = result.strip()
    if text[:1] in ("{", "[", '"') or text in ("null", "true", "false"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def speak(value: Any, question: str = "", language: str = "en") -> str:
    """Data as a short plain text. A list of texts that were searched for answers `question` by its best entry."""
    if value is None or value in ("", [], {}):
        return phrase("none", language)
    if isinstance(value, str):
        return _dates(_cut(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        said = _passage(value, question)
        return said or _dates(_cut("; ".join(f"{_label(key)}: {_short(each)}" for key, each in value.items()))) + "."
    if isinstance(value, Sequence):
        if all(isinstance(each, Mapping) for each in value):
            return answer(value, question) or _cut("\n".join(f"{n}. {_line(each)}" for n, each in enumerate(value, 1)))
        return _dates(_cut(", ".join(_short(each) for each in value)))
    return str(value)


def answer(found: Sequence[Mapping[str, Any]], question: str) -> str:
    """The passage that says most of what was asked, with where it is from; "" if the entries are no passages."""
    asked = set(words(question))
    best = ("", -1.0)
    for rank, entry in enumerate(found):
        said = _passage(entry, question)
        if not said:
            return ""
        shared = len(asked & set(words(" ".join(str(each) for each in entry.values())))) - 0.5 * rank
        if shared > best[1]:
            best = (said, shared)
    return best[0]


def _passage(entry: Mapping[str, Any], question: str) -> str:
    text = next((str(entry[key]) for key in _TEXT_KEYS if isinstance(entry.get(key), str) and entry[key]), "")
    if not text:
        return ""
    titles: list[str] = []
    for key in _TITLE_KEYS:
        title = entry.get(key)
        if isinstance(title, str) and title and title not in titles and title != text:
            titles.append(title)
    source = f" ({', '.join(titles[:2])})" if titles else ""
    return _sentences(text, question) + source


def _sentences(text: str, question: str) -> str:
    """A short text whole; of a long one the sentences that share most with the question, in their order."""
    flat = " ".join(text.split())
    if len(flat) <= 320 or not question:
        return _cut(flat)
    parts = re.split(r"(?<=[.!?]) ", flat)
    asked = set(words(question))
    ranked = sorted(range(len(parts)), key=lambda at: (-len(asked & set(words(parts[at]))), at))
    return _cut(" ".join(parts[at] for at in sorted(ranked[:3])))


def _line(entry: Mapping[str, Any]) -> str:
    return _dates(
        ", ".join(
            _short(each) if n == 0 else f"{_label(key).lower()} {_short(each)}"
            for n, (key, each) in enumerate(entry.items())
        )
    )


def _short(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{_label(key).lower()} {_short(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_short(each) for each in value)
    return str(value)


def _label(key: Any) -> str:
    text = str(key).replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def _dates(text: str) -> str:
    return _DATE.sub(lambda match: spoken_date(match[0]), text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST].rsplit(" ", 1)[0] + " …"
