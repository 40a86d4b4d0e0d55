"""`offline:router`: a routing model without a key or a network.

It reads the printed request like any model and answers in the same protocol; what it writes is parsed and
validated like any answer.
"""

from __future__ import annotations

from fleet.llm.base import Answer, Request
from fleet.llm.offline.choice import choose
from fleet.llm.offline.printed import Printed, read_messages
from fleet.llm.offline.rules import Choice, matching_example
from fleet.llm.offline.tuning import Tuning
from fleet.llm.offline.wording import ANSWER_BYTES, block, dispatch, start

__all__ = ["OfflineRouter"]

_SHOWN = 5


class OfflineRouter:
    """Routes by what was printed; deterministic, no state, no I/O.

    `prior` is the share of messages that continue the newest thread, where it is known (0 to 1); None leaves the
    balance as it is, or as `tuning` has it, which weighs all choices; its id is on record as `tuned` in `extra`.
    """

    def __init__(self, prior: float | None = None, tuning: Tuning | None = None) -> None:
        if prior is not None and not 0.0 <= prior <= 1.0:
            raise ValueError(f"prior is a share between 0 and 1, not {prior!r}")
        self._prior = tuning.prior if prior is None and tuning is not None else prior
        self._tuning = tuning

    @property
    def name(self) -> str:
        """`offline:router`."""
        return "offline:router"

    async def complete(self, request: Request) -> Answer:
        """Route the message that the request prints. Raises nothing; reads and writes no store."""
        printed = read_messages(request.messages)
        choices = choose(printed, self._prior, self._tuning)
        return Answer(
            content=({"type": "text", "text": _answer(printed, choices)},),
            stop_reason="end_turn",
            model=self.name,
            extra={
                "confidence": round(choices[0].probability, 4) if choices else 0.0,
                "choices": [_shown(each) for each in choices[:_SHOWN]],
                **({"tuned": self._tuning.id} if self._tuning is not None else {}),
            },
        )

    async def aclose(self) -> None:
        """Nothing to let go of."""


def _answer(printed: Printed, choices: list[Choice]) -> str:
    """The first choice that fits the grammar's size; a comment alone where nothing was printed."""
    for choice in choices:
        if choice.thread is not None:
            action = dispatch(choice.thread)
        else:
            agent = choice.agent or ""
            action = start(printed, agent, matching_example(printed, agent))
        text = block(choice.reasons, action)
        if len(text.encode("utf-8", "replace")) <= ANSWER_BYTES:
            return text
    return block(["Nothing was printed that this message could go to."], "")


def _shown(choice: Choice) -> dict[str, object]:
    where = {"thread": choice.thread} if choice.thread is not None else {"agent": choice.agent}
    return {**where, "probability": round(choice.probability, 4)}
