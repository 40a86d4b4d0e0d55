"""What kind of thing a message says, and what kind of thing an assistant's last words ask for; no word of a trade."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["ASKED", "SAID", "asked_kinds", "question_of", "said_kinds"]


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_DAY = (
    r"\b(mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(today|tomorrow|tonight|weekend|week|month)\b|"
    r"\b\d{1,2}(st|nd|rd|th)\b|"
    r"\b(jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\b|\b(day after|next week)\b"
)
_CLOCK = (
    r"\b\d{1,2}(:\d\d)? ?([ap]\.?m\b|o'?clock)|\b\d{1,2}:\d\d\b|\b(noon|midnight|morning|afternoon|"
    r"evening|half past|quarter)\b"
)
_COUNT = r"\b(one|two|three|four|five|six|seven|eight|nine|ten|\d+)\b"

#: What a message may say, by name.
SAID: dict[str, re.Pattern[str]] = {
    "yes": _any(
        r"^\W*(yes|yeah|yep|yup|sure|ok|okay|of course|absolutely|definitely|certainly|right|correct|exactly)\b"
    ),
    "no": _any(r"^\W*(no|nope|nah|not|never mind|neither|none|don't)\b"),
    "fine": _any(
        r"\b(sounds|looks|is|that's|it's|works|be) (good|great|fine|perfect|right|correct|ok|okay|nice|"
        r"excellent|awesome)\b",
        r"^\W*(good|great|fine|perfect|nice|excellent|awesome|cool|wonderful|alright|lovely|super)\b",
        r"\bworks for me\b|\bi('ll| will) take\b|\bi like (that|it|this)\b|\bgo ahead\b|\bplease do\b|\bdo (it|that)\b",
    ),
    "thanks": _any(r"\b(thanks|thank you|thx|cheers|appreciate|danke|merci|gracias)\b"),
    "closing": _any(
        r"\b(that's|that is|that will be|that'll be|it is|this is) (all|it|everything)\b|\bnothing (else|"
        r"more)\b|\bi'm (good|done|all set)\b",
        r"\b(bye|goodbye|good day|have a (nice|good|great))\b|\ball (i|for) (need|now)\b|\b(no|"
        r"don't need) (more|other|further|any)\b",
    ),
    "correct": _any(
        r"\b(actually|instead|rather|sorry|wait|change|changed|make it|i meant|oops|on second thought|correction)\b"
    ),
    "other": _any(r"\b(another|other|others|else|different|more options|something else|alternative|anything else)\b"),
    "also": _any(r"\b(also|too|as well|besides|additionally|then|next|by the way|one more|while you)\b"),
    "points": _any(r"\b(it|that|this|those|these|them|they|there|one|ones|he|she|her|his|its)\b"),
    "ordinal": _any(r"\b(first|second|third|last|former|latter|earlier|later|cheaper|either|both) ?(one|option)?\b"),
    "asks": re.compile(r"[?？]"),
    "wh": _any(r"^\W*(what|which|who|where|when|why|how|whose)\b"),
    "wh_of_it": _any(
        r"\b(what|which|where|when|how|who|is|are|does|do|can|will|has|did)( \w+){0,3} (it|that|this|"
        r"they|them|there|those|the)\b"
    ),
    "aux": _any(r"^\W*(is|are|do|does|did|can|could|will|would|has|have|should|may)\b"),
    "you": _any(r"\b(can|could|would|will) you\b"),
    "want": _any(
        r"\bi(('| woul)d (like|love|prefer)|('m| am) (looking|trying|interested|searching|thinking)|"
        r" (want|need|wish|have to|got to|"
        r"would|gotta))\b|\blooking (for|to)\b|\b(help me|i wanna)\b"
    ),
    "want_first": _any(
        r"^\W*(hi|hello|hey)?\W*i(('| woul)d (like|love)|('m| am) (looking|trying|interested)| (want|need))\b"
    ),
    "order": _any(
        r"^\W*(please )?(find|search|book|show|get|give|tell|look|play|make|set|add|check|send|buy|"
        r"reserve|help|schedule|cancel|open|"
        r"start|create|list|move|change|explain|write|keep|use|try|go|take|let|put|call|remind|report|"
        r"order|transfer|pay)\b"
    ),
    "prefer": _any(
        r"\b(prefer|preferably|rather|any|anything|don't care|doesn't matter|no preference|whatever|flexible)\b"
    ),
    "greets": _any(r"^\W*(hi|hello|hey|good (morning|afternoon|evening)|greetings|hallo|hola|bonjour)\b"),
    "day": _any(_DAY),
    "clock": _any(_CLOCK),
    "count": _any(_COUNT),
    "money": _any(r"[$€£]|\b(dollars?|bucks|euros?|pounds?|price|cheap|expensive)\b"),
    "place": _any(r"\b(in|to|from|near|at|around) (?-i:[A-Z])", r"\b(here|nearby|address|street|city|area|downtown)\b"),
    "for": _any(r"^\W*(for|on|at|in|from|to|around|about|maybe|until|by|with|after|before|between)\b"),
    "the": _any(r"^\W*(the|a|an|my|our|his|her|their|this|that|it|its)\b"),
    "and": _any(r"^\W*(and|but|or|so|then|also|what about|how about)\b"),
    "polite": _any(r"\bplease\b"),
    "handle": re.compile(r"@\w|^\w+[:,] "),
    "link": _any(r"https?://|www\.|\.com\b|[`|]|--\w|/\w+/"),
    "problem": _any(
        r"\b(doesn't|don't|won't|can't|cannot|isn't|not working|problem|issue|error|fails?|failed|wrong|broken|stuck)\b"
    ),
    "my": _any(r"\bmy\b"),
    "done": _any(
        r"\b(i|we)( have|'ve)? (did|done|removed|added|changed|tried|fixed|paid|sent|finished|bought|got|"
        r"already|just)\b"
    ),
    "think": _any(r"^\W*(i think|i guess|i believe|maybe|probably|perhaps|not sure|i don't know|no idea)\b"),
    "reacts": _any(r"^\W*(oh|ah|aha|hm+|huh|wow|really|seriously|wait|ugh|ouch|phew|oops|damn|fair enough|got it)\b"),
    "still": _any(r"\b(still|yet|already|again|any ?more|so far|meanwhile|by now|in the meantime)\b"),
    "if": _any(r"\b(if|unless|in case|otherwise|as long as|even though|though)\b"),
    "more": _any(r"\b(more|less|fewer|better|bigger|smaller|sooner|faster|longer|shorter|than|same|enough)\b"),
    "a": _any(r"\b(a|an|some|any|every)\b"),
    "the_one": _any(r"\bthe\b"),
    "points_first": _any(r"^\W*(it|that|this|they|he|she|those|these|there|which)('s|'ll|'re)?\b"),
    "you_said": _any(
        r"\byou (just )?(said|told|sent|mentioned|gave|wrote|promised|asked|recommended|suggested|offered|listed)\b"
    ),
    "i_first": _any(r"^\W*(i|we|i'm|we're|i've|we've|our)\b"),
    "was": _any(r"\b(was|were|had|did|came|went|got|said|told|broke|lost|left|took|gave|\w{3,}ed)\b"),
}

#: What an assistant's last words may ask for, by name.
ASKED: dict[str, re.Pattern[str]] = {
    "asks": re.compile(r"[?？]"),
    "asks_last": re.compile(r"[?？]\W*$"),
    "time": _any(r"\b(what|which|at what) time\b|\bwhat hour\b|\btime (would|do|should|is)\b"),
    "when": _any(r"\bwhen\b|\b(what|which) (day|date|month|week)\b|\bdates?\b"),
    "where": _any(
        r"\bwhere\b|\b(what|which) (city|place|area|location|town|station|airport|address|country)\b|\blocation\b"
    ),
    "many": _any(r"\bhow (many|much|long|old|big|often|far)\b|\bnumber of\b|\bwhat amount\b"),
    "which": _any(r"\bwhich\b|\bwhat (kind|type|sort|category|genre|cuisine|is the name)\b|\bpreference\b|\bprefer\b"),
    "who": _any(r"\bwho\b|\bwhom\b|\bwhose\b|\bwhat name\b|\bname\b"),
    "what": _any(r"\bwhat\b"),
    "how": _any(r"\bhow\b"),
    "offer": _any(
        r"\b(would you like|do you want|shall i|should i|want me to|may i|can i|like me to|"
        r"are you interested|would you want|how about)\b"
    ),
    "more": _any(r"\b(anything|something|any|what) (else|more|other)\b|\bfurther\b|\bassist you\b|\bhelp you with\b"),
    "confirm": _any(r"\b(confirm|correct|is that right|is this right|right\?|is that ok|okay\?|verify|to confirm)\b"),
    "or": _any(r"\bor\b[^.?!]*\?"),
    "done": _any(
        r"\b(has been|have been|is|was|are) (booked|reserved|confirmed|made|added|set|sent|scheduled|"
        r"completed|done|successful)"
    ),
    "wishes": _any(
        r"\b(enjoy|have a (nice|good|great)|good luck|happy|welcome|bye|take care|glad|no problem|pleasure)\b"
    ),
    "found": _any(r"\b(i found|i have|there (is|are)|here (is|are)|i see|we have)\b"),
    "sorry": _any(r"\b(sorry|unfortunately|unable|couldn't|could not|failed|cannot|can't|not available)\b"),
    "look": _any(r"\b(in mind|looking for|interested in|searching|trying to)\b"),
    "yesno": _any(r"(^|[.!,] )(is|are|do|does|did|can|could|will|would|has|have|should|shall|may)\b[^.!]*\?"),
    "you": _any(r"\byour?\b"),
    "please": _any(r"\b(please|tell me|let me know|specify|provide|need to know)\b"),
    "short": re.compile(r"^(\S+\s*){1,6}$"),
    "empty": re.compile(r"^\s*$"),
    "fact": _any(r"\b(it|its|it's|the [\w' ]{2,30}) (is|was|has|are|costs?|will|takes?)\b"),
    "digits": re.compile(r"\d"),
    "promises": _any(r"\b(i|we|you|he|she|they|it)('ll| will| shall| can)\b"),
    "depends": _any(r"\b(if|unless|once|until|as soon as|otherwise)\b"),
    "lists": re.compile(r",[^.?!]*,[^.?!]* (or|and) "),
    "link": _any(r"https?://|www\.|\.com\b|[`|]|--\w|/\w+/"),
}

_SENTENCE = re.compile(r"[^.!?？]*(?:[.!](?=\w)[^.!?？]*)*[.!?？]+\s*|[^.!?？]+$")


@lru_cache(maxsize=4096)
def question_of(text: str) -> str:
    """The sentences of an assistant's message that ask something, the last two of them; else its last sentence."""
    sentences = [each.strip() for each in _SENTENCE.findall(text[-600:]) if each.strip()]
    asking = [each for each in sentences if "?" in each or "？" in each]
    return " ".join(asking[-2:]) if asking else (sentences[-1] if sentences else "")


@lru_cache(maxsize=4096)
def said_kinds(text: str) -> tuple[float, ...]:
    """For each of SAID whether the message says it: 1.0 or 0.0."""
    text = text[:600].replace("’", "'")
    return tuple(1.0 if pattern.search(text) else 0.0 for pattern in SAID.values())


@lru_cache(maxsize=4096)
def asked_kinds(text: str) -> tuple[float, ...]:
    """For each of ASKED whether an assistant's last words have it: 1.0 or 0.0."""
    text = text[-600:].replace("’", "'")
    return tuple(1.0 if pattern.search(text) else 0.0 for pattern in ASKED.values())
