"""Asking the user which of the plausible threads or agents a message is meant for, and what the answer makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleet.agents.agent import DialogAgent
from fleet.agents.catalog import Catalog
from fleet.ledger.events import Choice, Decision, QuestionAsked
from fleet.prompting.quote import quote
from fleet.routing.answering import NONE
from fleet.routing.decided import Decided, Question
from fleet.routing.facts import Facts
from fleet.settings import Settings

__all__ = ["Asking"]

_MOST = 4  # choices
_LEAST = 0.03  # what is less likely is not worth reading; the second choice is named all the same
_TITLE, _SAID, _FOR = 80, 60, 100  # characters of a title, of the message, of what an agent is for


class Asking:
    """Decides for one application whom to ask about what. It asks where there is an agent that talks to users."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self._catalog, self._below = catalog, settings.ask_below
        self.possible = any(isinstance(agent, DialogAgent) for agent in catalog.app.agents.values())

    def question(self, facts: Facts, decided: Decided) -> Question | None:
        """What the user is asked; None if the router is sure enough, or said nothing of how sure it is.

        A dispatch that is to be asked about is, however sure the router is. Where there is but one choice nobody is
        asked.
        """
        decision, dispatch = decided.decision, facts.message.dispatch
        if not self.possible or not decision.attempts or not _placed(decision):
            return None
        sure = _probability(decision.attempts[-1].extra.get("confidence"))
        if (dispatch is None or not dispatch.ask) and (sure is None or sure >= self._below):
            return None
        ranked = list(_ranked(decision, sure or 0.0))
        choices = tuple(each for place, each in enumerate(ranked[:_MOST]) if place < 2 or each.probability >= _LEAST)
        if len(choices) < 2:
            return None
        otherwise = self._otherwise(facts, ranked, choices)
        return Question(self._words(facts, choices, otherwise), choices, otherwise)

    def answered(self, asked: QuestionAsked, number: int, answer_id: str, facts: Facts) -> Decided:
        """The decision that the user's answer makes: choice `number`, or none of them."""
        first = asked.decision
        update: dict[str, Any] = {
            "by": "user", "asked": "answered" if number else "none", "answered_by": answer_id, "fallback": "",
            "thread_id": "", "thread_index": None,
        }  # fmt: skip
        choice = asked.choices[number - 1] if number != NONE else Choice(agent=asked.otherwise)
        if choice.thread_id:
            thread = facts.thread(choice.thread_id)
            shown = [each.thread_id for each in first.candidates]
            update |= {
                "outcome": "dispatch_to", "thread_id": choice.thread_id, "agent": choice.agent, "name": choice.name,
                "thread_index": shown.index(choice.thread_id) if choice.thread_id in shown else None,
                "language": thread.language if thread else facts.language, "default_example_id": None,
            }  # fmt: skip
        elif not choice.agent:
            update |= {"outcome": "human", "agent": "", "name": "", "default_example_id": None}
        elif not (first.new_thread and first.agent == choice.agent):  # else it is as the router had it
            agent = self._catalog.app.agents.get(choice.agent)
            update |= {
                "outcome": "start_new_thread", "agent": choice.agent, "name": _title(facts.message.text.raw),
                "language": (agent.locale if agent else "") or facts.language, "default_example_id": None,
            }  # fmt: skip
        return Decided(first.model_copy(update=update), thread_key=asked.thread_key)

    def unanswered(self, asked: QuestionAsked, answer_id: str = "") -> Decided:
        """What counts where the user did not say: the router's first choice; `answer_id` is what was said instead."""
        update = {"asked": "lapsed" if answer_id else "expired", "answered_by": answer_id}
        return Decided(asked.decision.model_copy(update=update), thread_key=asked.thread_key)

    def _otherwise(self, facts: Facts, ranked: list[Choice], choices: tuple[Choice, ...]) -> str:
        """The agent of a new thread if it is none of the choices: the likeliest other, the default one, any other."""
        asked = {each.agent for each in choices if not each.thread_id}
        left = [each for each in ranked if not each.thread_id and each.agent not in asked]
        likely = [each.agent for each in left if each.probability]
        default = self._catalog.app.default_agent
        if default and default not in asked and facts.may(default):
            likely.append(default)
        return next(iter([*likely, *(each.agent for each in left)]), "")

    def _words(self, facts: Facts, choices: tuple[Choice, ...], otherwise: str) -> str:
        locale, words = facts.language, self._catalog.app.words
        lines = [words.say("which_one", locale, message=quote(_cut(facts.message.text.raw, _SAID)))]
        for number, each in enumerate(choices, 1):
            role = _spoken(each.agent)
            if each.thread_id:
                thread = facts.thread(each.thread_id)
                title = each.name or (thread.summary.raw if thread else "")
                lines.append(f"{number}. {quote(_cut(title, _TITLE))} ({role})" if title else f"{number}. {role}")
            else:
                view = facts.agents.get(each.agent)
                what = f": {_cut(view.description, _FOR)}" if view and view.description else ""
                lines.append(f"{number}. {words.say('something_new', locale, agent=role)}{what}")
        none = words.say("none_for_a_person", locale)
        if otherwise:
            none = words.say("none_of_these", locale, agent=_spoken(otherwise))
        return "\n".join([*lines, f"{NONE}. {none}", words.say("answer_with", locale)])


def _spoken(role: str) -> str:
    return role.replace("_", " ")


def _placed(decision: Decision) -> bool:
    """Whether a router's answer decided."""
    return decision.outcome in ("dispatch_to", "start_new_thread") and decision.fallback in ("", "router")


def _ranked(decision: Decision, sure: float) -> Iterator[Choice]:
    """What the message may be meant for, the decision first, then what the router held likeliest, then what it saw."""
    seen: set[tuple[str, str]] = set()
    names = {each.thread_id: each.name for each in decision.candidates}
    first = decision.thread_id if decision.outcome == "dispatch_to" else ""
    found = [Choice(agent=decision.agent, thread_id=first, name=names.get(first, ""), probability=sure)]
    found += _listed(decision)
    found += [Choice(agent=each.agent, thread_id=each.thread_id, name=each.name) for each in decision.candidates]
    found += [Choice(agent=role) for role in decision.agents]
    for each in found:
        key = (each.thread_id, "" if each.thread_id else each.agent)
        if key not in seen:
            seen.add(key)
            yield each


def _listed(decision: Decision) -> Iterator[Choice]:
    """The choices that the router says it weighed, as far as they were printed."""
    listed = decision.attempts[-1].extra.get("choices")
    for each in listed if isinstance(listed, list) else ():
        probability = _probability(each.get("probability")) if isinstance(each, dict) else None
        if probability is None:
            continue
        index, role = each.get("thread"), each.get("agent")
        if type(index) is int and 0 <= index < len(decision.candidates):
            shown = decision.candidates[index]
            yield Choice(agent=shown.agent, thread_id=shown.thread_id, name=shown.name, probability=probability)
        elif role in decision.agents:
            yield Choice(agent=role, probability=probability)


def _probability(given: object) -> float | None:
    if isinstance(given, (int, float)) and not isinstance(given, bool) and 0 <= given <= 1:
        return float(given)
    return None


def _title(text: str) -> str:
    return _cut("".join(each if each.isprintable() else " " for each in text), _TITLE)


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
