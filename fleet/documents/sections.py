"""A document cut into sections: by its headings if it is Markdown, and nowhere longer than a passage to quote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from markdown_it import MarkdownIt

__all__ = ["MARKDOWN", "Section", "read_sections", "title_of"]

MARKDOWN = (".md", ".markdown")

_LONGEST = 2000  # characters of a section; a longer paragraph is cut between words
_FRONT = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_PARSER = MarkdownIt("commonmark")


@dataclass(frozen=True)
class Section:
    """A passage: the headings that it stands under, outermost first and without the document's title, and its text."""

    heading: str
    text: str


def title_of(name: str, text: str) -> str:
    """What the document is called: its first heading of the first level, else its file's name without the ending."""
    if name.endswith(MARKDOWN):
        for level, words, _, _ in _headings(_plain(text)):
            if level == 1:
                return words
    return name.rpartition("/")[2].rpartition(".")[0] or name


def read_sections(name: str, text: str) -> Iterator[Section]:
    """The sections of a document in order; `name` tells by its ending whether it is Markdown."""
    text = _plain(text)
    if not name.endswith(MARKDOWN):
        yield from (Section("", part) for part in _parts(text))
        return
    lines = text.split("\n")
    path: list[tuple[int, str]] = []
    done = 0
    titled = False
    for level, words, start, end in _headings(text):
        yield from _under(path, "\n".join(lines[done:start]))
        path = [each for each in path if each[0] < level]
        if level > 1 or titled:
            path.append((level, words))
        titled = titled or level == 1
        done = end
    yield from _under(path, "\n".join(lines[done:]))


def _plain(text: str) -> str:
    """The text with plain line ends and without a front-matter."""
    return _FRONT.sub("", text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


def _headings(text: str) -> Iterator[tuple[int, str, int, int]]:
    """Each heading: its level, its words, its first line and the one after it."""
    tokens = _PARSER.parse(text)
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.map and token.level == 0:
            yield int(token.tag[1:]), " ".join(inline.content.split()), token.map[0], token.map[1]


def _under(path: list[tuple[int, str]], text: str) -> Iterator[Section]:
    heading = " / ".join(words for _, words in path)
    yield from (Section(heading, part) for part in _parts(text))


def _parts(text: str) -> Iterator[str]:
    """The text in parts of whole paragraphs, as many as fit."""
    part = ""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        words = paragraph.strip("\n").rstrip()
        while len(words) > _LONGEST:
            cut = words.rfind(" ", 1, _LONGEST)
            cut = cut if cut > 0 else _LONGEST
            if part:
                yield part
                part = ""
            yield words[:cut]
            words = words[cut:].lstrip()
        if part and len(part) + len(words) + 2 > _LONGEST:
            yield part
            part = ""
        part = f"{part}\n\n{words}" if part and words else part or words
    if part.strip():
        yield part
