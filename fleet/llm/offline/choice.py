"""All that a printed request may be answered with, by probability, each with its reason in words."""

from __future__ import annotations

import math
from dataclasses import replace

from fleet.llm.offline import rules
from fleet.llm.offline.features import THREAD, Choices, named
from fleet.llm.offline.printed import Printed
from fleet.llm.offline.rules import Choice
from fleet.llm.offline.scorer import Scorer, shipped_scorer
from fleet.llm.offline.tuning import Tuning
from fleet.llm.offline.words import Text, stem

__all__ = ["choose"]

_NEWEST_SHARE = 0.3  # of the training cases continue the newest thread
_TALK_SHARE = 0.6  # the same where people talk to each other
_WAITING = 1.0  # how much likelier a thread is whose agent is known to wait for an answer, where nothing is asked
_FOREIGN = (0.35, 0.65)  # shares of known words: up to the first the rules alone decide, from the second the scorer


def choose(printed: Printed, prior: float | None = None, tuning: Tuning | None = None) -> list[Choice]:
    """All choices, the likeliest first; empty where neither threads nor agents were printed.

    A message in words that the scorer does not know is left to the rules. `prior` is the share of messages that
    continue the newest thread, where it is known; its own one in `tuning` is not looked at here.
    """
    if not printed.threads and not printed.agents:
        return []
    scorer = shipped_scorer()
    found = scorer.describe(printed)
    scores = scorer.logits(found)
    if "?" not in printed.message:
        for at, thread in enumerate(printed.threads):
            scores[at] += _WAITING if thread.status == "need_input" else 0.0
    if prior is not None and printed.threads:
        usual = _TALK_SHARE if len(printed.agents) <= 1 else _NEWEST_SHARE
        wanted = min(max(prior, 0.01), 0.99)
        scores[0] += math.log(wanted / (1 - wanted)) - math.log(usual / (1 - usual))
    probabilities = _softmax(scores)
    count = len(printed.threads)
    choices = [
        Choice(
            printed.threads[at].index if at < count else None,
            printed.agents[at - count].role if at >= count else None,
            probability,
            (_why_thread(printed, found, at) if at < count else _why_agent(printed, found, at - count),),
        )
        for at, probability in enumerate(probabilities)
    ]
    share = _foreign(scorer, found.said)
    if share > 0:
        choices = _mixed(choices, rules.choose(printed, prior), share)
    if tuning is not None:
        anew = tuning.weigh([(each.agent, each.probability) for each in choices])
        choices = [replace(each, probability=probability) for each, probability in zip(choices, anew, strict=True)]
    return _with_odds(sorted(choices, key=lambda choice: -choice.probability))


def _softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    parts = [math.exp(each - top) for each in scores]
    total = sum(parts)
    return [each / total for each in parts]


def _foreign(scorer: Scorer, said: Text) -> float:
    """How far the rules decide: 0 where the message's words are known, 1 where they are not."""
    words = [word for word in said.words if word[0].isalpha()]
    if not words:
        return 0.0
    known = sum(1 for word in words if scorer.knows(word)) / len(words)
    low, high = _FOREIGN
    return min(max((high - known) / (high - low), 0.0), 1.0) if len(words) > 1 or known == 0 else 0.0


def _mixed(ours: list[Choice], theirs: list[Choice], share: float) -> list[Choice]:
    other = {(each.thread, each.agent): each for each in theirs}
    mixed = []
    for each in ours:
        twin = other[each.thread, each.agent]
        reasons = twin.reasons if share >= 0.5 else each.reasons
        probability = (1 - share) * each.probability + share * twin.probability
        mixed.append(Choice(each.thread, each.agent, probability, reasons))
    return mixed


def _with_odds(choices: list[Choice]) -> list[Choice]:
    """The same, the reasons followed by how sure the choice is and what else came near."""

    def place(choice: Choice) -> str:
        return f"threads[{choice.thread}]" if choice.thread is not None else f"a new thread with {choice.agent}"

    told = []
    for at, each in enumerate(choices):
        rival = choices[1 if at == 0 else 0] if len(choices) > 1 else None
        near = f"; next best: {place(rival)}, {rival.probability:.2f}" if rival else ""
        told.append(
            Choice(each.thread, each.agent, each.probability, (*each.reasons, f"Sure to {each.probability:.2f}{near}."))
        )
    return told


def _why_thread(printed: Printed, found: Choices, at: int) -> str:
    where = f"threads[{printed.threads[at].index}]"
    numbers = named(THREAD, found.threads[at])
    shared = _shared(found.said, found.lasts[at], found.summaries[at])
    asked, short = numbers["asked_asks"], len(found.said.words) <= 8
    if asked and (short or numbers["newest"]):
        return f"The assistant last asked a question in {where}, and this message reads like its answer."
    if shared:
        return f"This message carries on {where}: both speak of {', '.join(shared)}."
    if asked:
        return f"The assistant waits for an answer in {where}, and this message may be it."
    if numbers["newest"]:
        return f"This message reads like a continuation, and {where} was active last."
    return f"This message reads like a continuation, and {where} fits it best."


def _why_agent(printed: Printed, found: Choices, at: int) -> str:
    role = printed.agents[at].role
    shared = _shared(found.said, found.cores[at], found.examples[at])
    if shared:
        return f"A fresh request; it fits what {role} does: both speak of {', '.join(shared)}."
    return f"A fresh request; of the agents on offer, {role} is nearest to what it is about."


def _shared(said: Text, *texts: Text) -> list[str]:
    """Up to four words of the message, the rarest first, that stand in the texts too."""
    keys = [key for key in said.stems if any(key in text.stems for text in texts)]
    keys.sort(key=lambda key: (-said.stems[key], key))
    spelled = {stem(word): word for word in reversed(said.words)}
    return [spelled[key] for key in keys[:4]]
