"""Reading the user's next message as the answer to a question with numbered choices. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from fleet.ledger.events import Choice

__all__ = ["NONE", "read_answer"]

NONE = 0  # none of the choices

_LONGEST = 120  # characters; what is longer is no answer to which of them
_LEAST = 3  # letters of a part of a title; of a script without spaces, two
_NUMBER = re.compile(r"\W*(?:(?:the |number |no\.? |nr\.? |option |choice )*)#?(\d{1,2})\W*")
_PLACES = (
    ("1", "one", "first", "first one"), ("2", "two", "second", "second one"), ("3", "three", "third", "third one"),
    ("4", "four", "fourth", "fourth one"), ("5", "five", "fifth", "fifth one"),
)  # fmt: skip
_NEW = frozenset({
    "new", "a new one", "new one", "something new", "new thread", "new topic", "start new", "neu", "etwas neues",
    "ein neues thema", "nouveau", "nuevo", "algo nuevo", "novo", "nuovo",
})  # fmt: skip
_NONE = frozenset({
    "none", "none of these", "none of those", "none of them", "neither", "no", "nope", "nothing", "other",
    "another", "something else", "else", "nein", "keine", "keins", "keines", "keines davon", "nichts davon",
    "etwas anderes", "non", "aucun", "aucune", "aucun des deux", "autre chose", "ninguno", "ninguna",
    "ninguno de estos", "otra cosa", "nenhum", "nenhuma", "outra coisa", "nessuno", "nessuna", "altro", "żadne",
    "inne", "нет", "другое", "いいえ", "どれでもない", "不是", "都不是", "其他",
})  # fmt: skip
_AROUND = re.compile(
    r"^(?:(?:i|we|mean|meant|it is|it's|its|that is|that's|the|this|that|one|for|about|with|to|please|is|belongs) )+"
    r"|(?: (?:one|please|thanks|thank you|thread|topic))+$"
)
_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def read_answer(text: str, choices: Sequence[Choice]) -> int | None:
    """The number of the choice that the text means, from 1; NONE for none of them; None if it is no answer.

    A number, a part of exactly one choice's title or role, or words such as "new" and "none of these". What fits two
    choices is no answer.
    """
    said = _plain(text)
    if not said or len(text) > _LONGEST:
        return None
    numbered = _NUMBER.fullmatch(unicodedata.normalize("NFKC", text).casefold())
    if numbered is not None:
        number = int(numbered[1])
        return number if number <= len(choices) else None
    if said in _NONE:
        return NONE
    fresh = [number for number, each in enumerate(choices, 1) if not each.thread_id]
    if said in _NEW:
        return fresh[0] if fresh else NONE
    core = _AROUND.sub("", said)
    for number, words in enumerate(_PLACES[: len(choices)], 1):
        if core in words or said in words:
            return number
    new, _, rest = core.partition(" ")
    if new in ("new", "neu") and rest and (found := _named(rest, choices, fresh)) is not None:
        return found
    return _named(core, choices, range(1, len(choices) + 1))


def _named(said: str, choices: Sequence[Choice], numbers: Sequence[int]) -> int | None:
    """The one choice whose title or role has these words, one behind the other."""
    if len(said) < (2 if _WITHOUT_SPACES.search(said) else _LEAST):
        return None
    titles = {number: (_plain(choices[number - 1].name), _plain(choices[number - 1].agent)) for number in numbers}
    for fits in (str.__eq__, _within):
        found = [number for number, names in titles.items() if any(fits(said, each) for each in names)]
        if len(found) == 1:
            return found[0]
    return None


def _within(said: str, title: str) -> bool:
    return said in title if _WITHOUT_SPACES.search(said) else f" {said} " in f" {title} "


def _plain(text: str) -> str:
    """The words of a text, without what stands between them; a role's underscores are spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'").replace("_", " ")
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", folded))
