"""The sounding board's tools: lay out options, and what speaks for and against each."""

from __future__ import annotations

import re

from fleet import ToolError, tool

__all__ = ["draft_options", "summarize_tradeoffs"]

_LEAD = re.compile(
    r"^.*?\b(?:whether(?: to| we should| i should)?|should (?:we|i)|choose between|decide between|between|"
    r"torn between|either|think through|weigh|help me decide(?: about| on)?|alternatives (?:are there )?to)\b[:,]?\s*",
    re.I | re.S,
)
_SPLIT = re.compile(r"\s*(?:,\s*or\b|;\s*or\b|\bor\b|\bversus\b|\bvs\.?\b|;)\s*", re.I)
# What tends to matter, by words in an option: (words, what speaks for it, what against, how to find out).
_MATTERS = (
    (r"home|remote", "quiet and no commute", "less contact with the team", "which tasks need people in one room"),
    (r"office\b|on site", "quick contact with the team", "the commute, and more interruptions", "who else is in then"),
    (r"early|morning", "free afternoons", "an early rise, and late calls are missed", "when most calls come in"),
    (r"late|afternoon|evening", "calm mornings", "the evening begins late", "when most calls come in"),
    (
        r"by train|railway|bus\b",
        "time to work on the way",
        "fixed times and changes",
        "the whole journey, door to door",
    ),
    (r"fly|flight|plane", "the shortest time over a long way", "cost and airports", "the journey from door to door"),
    (r"hire|recruit", "lasting capacity", "months until it helps, and a lasting cost", "how long the work will last"),
    (r"buy|purchase", "it is yours, and known", "money up front, and upkeep", "how often it would be used"),
    (r"build|write our own", "a fit to measure", "time, and care for years", "what the ready-made one lacks"),
    (r"keep|stay|leave .* as|wait|not ", "nothing to undo", "the question stays", "what it costs to wait a month"),
)
_READ = 600  # characters of a question; what is to be decided stands in its first sentences
_OTHERWISE = (
    "it moves the matter on",
    "effort, and it takes getting used to",
    "a trial of two weeks, with a date to look back",
)


@tool(effect="read")
def draft_options(question: str) -> dict[str, list[str]]:
    """Draft the options that a question leaves open, in the person's own words, with a small trial as one more.

    Args:
        question: the question as it was put
    """
    text = " ".join(question[:_READ].split()).rstrip(" ?.!")
    between = re.search(r"\b(?:between|torn)\b", text, re.I)
    while shorter := _LEAD.sub("", text, count=1):
        if shorter == text:
            break
        text = shorter
    parts = re.split(r"\s+(?:and|or)\s+", text) if between else _SPLIT.split(text)
    options = [part.strip(" ,:") for part in parts if part.strip(" ,:")]
    if not options:
        raise ToolError("There is no question in that; say what is to be decided.")
    if len(options) == 1:
        options.append("leave it as it is")
    options = [each.removeprefix("to ")[:120] for each in options[:3]]
    return {"options": [*options, f"try it small first: {options[0]}, for two weeks"]}


@tool(effect="read")
def summarize_tradeoffs(options: list[str]) -> str:
    """Summarize what speaks for and against each option, and what to find out before choosing.

    Args:
        options: the options to weigh, two to five
    """
    if not 2 <= len(options) <= 5:
        raise ToolError("Trade-offs need two to five options.")
    lines = []
    for number, option in enumerate(options, 1):
        if option.startswith("try it small first"):
            pro, con, ask = (
                "cheap to undo, and it gives facts",
                "an answer takes longer",
                "what would count as a success",
            )
        else:
            pro, con, ask = next(
                (rest for words, *rest in _MATTERS if re.search(rf"\b(?:{words})", option, re.I)), _OTHERWISE
            )
        lines.append(
            f"{number}. {option[:1].upper()}{option[1:]}. For it: {pro}. Against it: {con}. Worth finding out: {ask}."
        )
    return "\n".join(lines)
