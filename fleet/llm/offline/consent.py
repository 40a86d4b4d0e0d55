"""Reading a yes or a no: what a short message is as an answer to "Shall I …?". Pure."""

from __future__ import annotations

import re

__all__ = ["consent"]

_YES = re.compile(
    r"(y(?=\W*$)|yes|yep|absolutely|definitely|please(?=\W*$)|yeah|yup|sure|ok|okay|"
    r"of course|go ahead|do it|do that|please do|confirm(ed)?|correct|right|exactly|"
    r"sounds good|perfect|fine|agreed|ja|jawohl|gern|genau|mach das|oui|d'accord|sí|si|vale|claro|sim|certo|va bene|"
    r"да|хорошо|はい|是的?|好的?)\b",
    re.I,
)
_NO = re.compile(
    r"(n(?=\W*$)|no|nope|nah|never ?mind|leave it|don't|do not|cancel|stop|forget it|not now|nein|"
    r"lieber nicht|non|não|nao|mejor no|nej|нет|いいえ|不|不要)\b",
    re.I,
)
_SIGNS = re.compile("[👍👌✅👎❌][\ufe0f\U0001f3fb-\U0001f3ff]?")
_HEDGE = re.compile(
    r"\b(but|wait|unless|except|aber|pero|mais|mas|ma|however|first|instead|not|don't|why|what|which|if)\b|\?", re.I
)
_COURTESY = re.compile(
    r"\b(please|thanks|thank you|bitte|danke|merci|gracias|por favor|s'il (te|vous) plaît|submit it|save it|that|it|"
    r"works|great|good|do|go ahead|all right|alright|is|the|thing|everything|one|for me|me)\b|[^\w]+",
    re.I,
)
_AS_IT_IS = re.compile(r"\b(leave|as it is)\b", re.I)  # courtesy beside a no; beside a yes it takes that back
_LONGEST = 200  # characters of a plain answer, so that nobody's message holds the reader up


def consent(text: str) -> str:
    """What a message is as an answer to "Shall I …?": `yes` or `no` if it is that and nothing else, else "".

    A yes with a condition, a question or a new value in it is none.
    """
    if len(text) > _LONGEST:
        return ""
    said = _SIGNS.sub(lambda sign: " yes " if sign[0][0] in "👍👌✅" else " no ", text).replace("’", "'").strip()
    for answer_, pattern in (("no", _NO), ("yes", _YES)):
        match = pattern.match(said)
        if match and len(said.split()) <= 8:
            rest = said[match.end() :]
            bare = _NO.sub(" ", _YES.sub(" ", rest)) if answer_ == "yes" else _AS_IT_IS.sub(" ", rest)
            left = _COURTESY.sub(" ", bare).split()
            if (
                not left
                and not _HEDGE.search(rest if answer_ == "yes" else "")
                and not (answer_ == "yes" and _NO.search(rest))
            ):
                return answer_
    return ""
