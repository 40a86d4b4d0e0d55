"""Every verdict on a routing answer, in the order in which they are decided, with what the model is told.

The message goes back to the model in its single corrective retry: one sentence, bounded, that says what is
wrong and what would be right. Nothing of the refused answer is repeated in it but a number or a code point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fleet.errors import ActionRejected
from fleet.sandbox.characters import quoted

__all__ = [
    "VERDICTS",
    "printed_agents",
    "printed_ids",
    "printed_threads",
    "rejected",
    "shown_agent",
    "shown_index",
]

# Longest list in a message, in characters, so that a retry stays cheap with a thousand agents.
_LIST_CHARS = 400
_AGENT_CHARS = 60
_INDEX_CHARS = 20

_BLOCK = "exactly one block fenced by three backticks and labelled python"
_CALLS = "one dispatch_to(…) or one start_new_thread(…)"

VERDICTS: Mapping[str, str] = MappingProxyType(
    {
        "truncated_output": "The answer was cut off; write only the one fenced block, with a short comment.",
        "output_too_large": "The answer is over {limit} bytes; write only the one fenced block, with a short comment.",
        "illegal_character": "The answer holds the character {character}, which is not allowed; write plain text.",
        "empty_output": f"The answer is empty; write {_BLOCK}.",
        "no_code_block": f"The answer has no fenced block; write {_BLOCK}.",
        "fence_unclosed": "The block must open, and close with three backticks, each on a line of its own.",
        "multiple_blocks": f"The answer has more than two fence lines; write {_BLOCK}.",
        "prose_outside_block": "The answer has text before or after the block; put reasons in # comments inside it.",
        "fence_style": "A fence must be exactly three backticks at the start of its line, the closing one alone on it.",
        "fence_language": "The opening fence must be labelled python and nothing else.",
        "too_complex": "The block is too complex to be one action; write a single plain call.",
        "syntax_error": "The block is not valid Python (line {line}); write one plain call, with no \\ in its strings.",
        "no_action": f"The block has no call; add {_CALLS}.",
        "multiple_statements": "The block has more than one statement; write exactly one call.",
        "statement_not_allowed": f"The block holds a statement that is no call; write only {_CALLS}.",
        "expression_not_allowed": f"The block holds an expression that is no call; write only {_CALLS}.",
        "non_ascii_identifier": "Names and keywords must be spelled in plain ASCII letters.",
        "unknown_action": f"The block calls something else; write only {_CALLS}.",
        "star_argument": "Arguments must be written out, without * or **.",
        "bad_arguments": "dispatch_to takes exactly one argument and no keyword, as in dispatch_to(threads[0]).",
        "thread_ref_form": "A thread must be written as it was printed, as in threads[0]: the list and a plain number.",
        "thread_index_out_of_range": "threads[{index}] was not printed; {threads}.",
        "positional_argument": "start_new_thread takes keyword arguments only, as in agent=…, language=….",
        "unknown_argument": "start_new_thread takes only agent, language, name and default_example_id.",
        "duplicate_argument": "An argument of start_new_thread is given twice; give each one once.",
        "missing_argument": "start_new_thread needs both agent and language; here it lacks {missing}.",
        "argument_not_literal": "The value of {argument} must be a literal: no name, expression, f-string or sign.",
        "argument_type": "The value of {argument} must be {wanted}.",
        "unknown_agent": "No agent of that name was printed, spelled exactly; {agents}.",
        "language_invalid": "The language must be a tag like en, pt-BR or zh-Hant-TW.",
        "name_invalid": "The name must be 1 to {limit} printable characters on one line.",
        "example_not_printed": "That example id was not printed for agent {agent}; {examples}.",
    }
)


def rejected(code: str, **values: object) -> ActionRejected:
    """The error for one verdict, its message filled in; raise it."""
    return ActionRejected(code, VERDICTS[code].format(**values))


def shown_agent(agent: str) -> str:
    """A printed agent's name as it must be typed, quoted; cut at 60 characters."""
    return quoted(agent if len(agent) <= _AGENT_CHARS else agent[:_AGENT_CHARS] + "…")


def shown_index(index: int) -> str:
    """A thread index; cut at 20 digits."""
    digits = str(index)
    return digits if len(digits) <= _INDEX_CHARS else digits[:_INDEX_CHARS] + "…"


def printed_threads(n_threads: int) -> str:
    """Which threads were printed, as a clause."""
    if n_threads < 1:
        return "no thread was, so only start_new_thread is possible"
    return "only threads[0] was" if n_threads == 1 else f"only threads[0] to threads[{n_threads - 1}] were"


def printed_agents(agents: Iterable[str]) -> str:
    """Which agents were printed, as a clause, each as it must be typed; cut at 400 characters."""
    names = [shown_agent(agent) for agent in agents]
    return f"the agents are {_cut(names)}" if names else "there is no agent"


def printed_ids(ids: Iterable[int]) -> str:
    """Which example ids were printed, as a clause; cut at 400 characters."""
    numbers = [str(number) for number in ids]
    return f"its ids are {_cut(numbers)}" if numbers else "it has none, so leave default_example_id out"


def _cut(items: list[str]) -> str:
    shown: list[str] = []
    room = _LIST_CHARS
    for item in items:
        room -= len(item) + 2
        if room < 0:
            break
        shown.append(item)
    left = len(items) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")
