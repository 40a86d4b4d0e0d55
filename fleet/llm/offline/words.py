"""Texts as the router compares them: words, stems weighted by how rare they are, names and numbers, topics."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["STOP", "Text", "coverage", "nearness", "read_text", "stem", "topics_of", "words_of"]

_WORD = re.compile(r"\d+(?:[.:,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[?]")
_NAME = re.compile(r"(?<=[\w,;:] )[A-ZÀ-Þ][\w'’-]+|\d[\d.:,-]*\d|\d|[\w.-]*[/_@#][\w./@#-]+")
_READ = 1_200  # characters of one text that are read
_TOPICS = "topics.txt"

_LITTLE = (
    "a an the i you he she it we they me him her us them my your his its our their this that these those is are was "
    "were be been being am do does did done doing have has had having will would shall should can could may might must "
    "to of in on at for from by with about as into onto up down out off over under and or but if so than then too very "
    "not no yes yeah ok okay please thanks thank hi hello hey there here what which who whom whose when where why how "
    "any some all both each other another more most such only own same just also now ever never i'm i'd i'll i've "
    "you're it's that's don't didn't can't won't let's want need like get got go going gonna know tell find help "
    "looking look give make say see let would'nt one something anything someone user agent assistant"
)
#: Words that say little of what a text is about.
STOP = frozenset(_LITTLE.split())


@dataclass(frozen=True, slots=True)
class Text:
    """One text. `words` lower case in order; `stems` content stems and their weight; `topics` topic and its share.

    `contents` holds the first spelling of each stem.
    """

    words: tuple[str, ...]
    contents: tuple[str, ...]
    stems: Mapping[str, float]
    weight: float
    starts: frozenset[str]
    names: frozenset[str]
    topics: Mapping[int, float]


def read_text(text: str, rarity: Callable[[str], float]) -> Text:
    """Read at most 1,200 characters. `rarity` gives a word's weight, 0 to 1. Pure."""
    text = text[:_READ]
    words = words_of(text)
    stems: dict[str, float] = {}
    contents: list[str] = []
    topics: dict[int, float] = {}
    for word in words:
        if word in STOP or word == "?":
            continue
        key = stem(word)
        if key in stems:
            continue
        weight = stems[key] = rarity(word)
        contents.append(word)
        found = topics_of(key)
        for topic in found:
            topics[topic] = topics.get(topic, 0.0) + weight / math.sqrt(len(found))
    length = math.sqrt(sum(share * share for share in topics.values())) or 1.0
    return Text(
        words,
        tuple(contents),
        stems,
        sum(stems.values()),
        frozenset(key[:4] for key in stems if len(key) >= 4),
        frozenset(found.lower() for found in _NAME.findall(text)),
        {topic: share / length for topic, share in topics.items()},
    )


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, with numbers and question marks as words of their own."""
    return tuple(_WORD.findall(text.lower().replace("’", "'")))


def coverage(said: Text, other: Text) -> float:
    """The share of what was said, by weight, whose stems stand in `other`: 0 to 1."""
    if not said.weight:
        return 0.0
    return sum(weight for key, weight in said.stems.items() if key in other.stems) / said.weight


def nearness(said: Mapping[int, float], other: Mapping[int, float]) -> float:
    """The cosine of two texts' topics: 0 to 1."""
    return sum(share * other[topic] for topic, share in said.items() if topic in other)


@cache
def stem(word: str) -> str:
    """A word without its English ending."""
    word = word.removesuffix("'s")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ingly", "ation", "ings", "ing", "edly", "ment", "ed", "ers", "er", "es", "ly", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiousl":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def topics_of(key: str) -> tuple[int, ...]:
    """The numbers of the topics that a stem stands for."""
    return _topics().get(key, ())


@cache
def _topics() -> dict[str, tuple[int, ...]]:
    lines = resources.files("fleet.llm.offline").joinpath(_TOPICS).read_text("utf-8").splitlines()
    found: dict[str, list[int]] = {}
    for number, line in enumerate(each for each in lines if each and not each.startswith("#")):
        for key in _stems(line.partition(":")[2].split()):
            found.setdefault(key, []).append(number)
    return {key: tuple(numbers) for key, numbers in found.items()}


def _stems(words: Iterable[str]) -> set[str]:
    return {stem(part) for word in words for part in words_of(word) if part not in STOP}
