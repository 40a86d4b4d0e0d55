"""The fixed words of the runtime, in English and in each locale that the application gives them for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from string import Formatter
from typing import Any

from fleet.agents.agent import Agent
from fleet.agents.locales import read_locale
from fleet.errors import ConfigError

__all__ = ["WORDS", "Words"]

# What the runtime says by itself, in English; names in braces are filled in.
WORDS: Mapping[str, str] = {
    "no_answer": "I could not answer just now. Your message is kept; please try again in a moment.",
    "declined": "I cannot help with that.",
    "sorry": "Something went wrong on our side and I cannot answer this. Your message is kept, and a person can look "
    "at it.",
    "unknown_effect": "I called {tool} and it {why}: it is not known whether it took effect. A person has to check "
    "before I go on.",
    "too_long": "I did not get to an end with this and stopped. A person may have to look at it.",
    "used_up_turn": "I have used up what I may use for this turn, and stopped. Please try again with less at a time.",
    "used_up_conversation": "I have used up what I may use for this conversation, and stopped. Please try again in a "
    "new one.",
    "used_up_day": "I have used up what I may use for this day, and stopped. Please try again tomorrow.",
    "used_up_task": "I have used up what I may use for this task, and stopped. Please try again with less at a time.",
    "by_operator": "This needs the approval of a colleague. I go on when it is there.",
    "which_of_them": "All of them, one (say its number), or none?",
    "may_i": "May I {what}?",
    "which_one": "I am not sure what {message} is about. Which one do you mean?",
    "something_new": "Something new, for {agent}",
    "none_of_these": "None of these: something new, for {agent}",
    "none_for_a_person": "None of these: a person looks at it",
    "answer_with": "Please answer with a number or a name.",
}
_RULES = "rules"  # what an agent is told about a locale, besides its tag
_RETIRED = "retired"  # the application's retired_reply


class Words:
    """The fixed words by locale: `table` maps a tag to the words that it has, by the names of `WORDS`.

    Names besides: `rules` (what agents are told about the locale), `retired` (the application's `retired_reply`),
    `away.ROLE` (an agent's `away`), `question.TOOL` (a tool's `question`). What a locale has not, the wider one has
    (de for de-AT), then English.
    Raises: ConfigError for a tag, a name or a place to fill in that there is not.
    """

    def __init__(
        self, table: Mapping[str, Mapping[str, Any]] | None = None, agents: Mapping[str, Agent] | None = None
    ) -> None:
        self._table: dict[str, dict[str, str]] = {}
        known = dict(_names(agents or {}))
        for given, words in (table or {}).items():
            tag = read_locale(given)
            if tag is None:
                raise ConfigError(f"words: {given!r} is no locale; one is a tag such as de, pt-BR or zh-Hant-TW")
            for name, text in words.items():
                _check(f"words of {tag}", name, text, known)
            self._table.setdefault(tag.lower(), {}).update(words)

    def say(self, name: str, locale: str, default: str = "", **values: Any) -> str:
        """These words in the locale, else `default`, else in English, with `values` filled in."""
        found = self.find(name, locale)
        return (found if found is not None else default or WORDS[name]).format(**values)

    def find(self, name: str, locale: str) -> str | None:
        """The words that the application gives for this locale, or for a wider one; None if it gives none."""
        tag = locale.lower()
        while tag:
            if name in self._table.get(tag, ()):
                return self._table[tag][name]
            tag = tag.rpartition("-")[0]
        return None

    def rules(self, locale: str) -> str:
        """What agents are told about the locale, besides its tag."""
        return self.find(_RULES, locale) or ""

    def retired(self, locale: str, default: str) -> str:
        """What users are told whose agent is declared no more."""
        return self.find(_RETIRED, locale) or default

    def away(self, role: str, locale: str, default: str) -> str:
        """What the users of a paused agent are told."""
        return self.find(f"away.{role}", locale) or default

    def question(self, tool: str, locale: str) -> str | None:
        """What the user is asked before a call of this tool; None where the tool's own question counts."""
        return self.find(f"question.{tool}", locale)


def _names(agents: Mapping[str, Agent]) -> Iterator[tuple[str, set[str] | None]]:
    """Every name that a table may have, with the places to fill in; None: none are looked for."""
    for name, text in WORDS.items():
        yield name, set(_places(text))
    yield _RULES, None
    yield _RETIRED, None
    for role, agent in agents.items():
        yield f"away.{role}", None
        for tool in agent.tools:
            yield f"question.{tool.name}", set(tool.arguments.model_fields)


def _check(where: str, name: str, text: Any, known: Mapping[str, set[str] | None]) -> None:
    if name not in known:
        raise ConfigError(f"{where}: there is nothing called {name!r}; there are {', '.join(known)}")
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"{where}: {name} is a text, not {text!r}")
    places = known[name]
    if places is None:
        return
    try:
        found = set(_places(text))
    except ValueError as error:
        raise ConfigError(f"{where}: {name}: {error}; a brace that is meant as one is written twice") from None
    if strange := sorted(found - places):
        there = f"it may have {', '.join(f'{{{each}}}' for each in sorted(places))}" if places else "it has none"
        raise ConfigError(f"{where}: {name} has {{{strange[0]}}}; {there}")


def _places(text: str) -> Iterable[str]:
    return [name for _, name, _, _ in Formatter().parse(text) if name is not None]
