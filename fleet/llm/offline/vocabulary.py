"""The words that have a vector: those of the training texts as they are spelled, everyday English by its stems."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.llm.offline.words import stem

__all__ = ["STEM", "Vocabulary"]

STEM = "~"  # begins an entry that is a stem


class Vocabulary:
    """Numbers and weights of words. Entries are words of the training texts, the commonest first, then stems."""

    def __init__(self, entries: Sequence[str], rarity: Sequence[int], known: int) -> None:
        """`rarity` is 0 to 255, an entry; the first `known` entries are words of the training dialogues."""
        self._numbers = {entry: number for number, entry in enumerate(entries)}
        self._rarity, self.known = rarity, known

    def entry(self, word: str) -> int | None:
        """The number of a word's entry, or of its stem's; None where it has neither."""
        number = self._numbers.get(word)
        return self._numbers.get(STEM + stem(word)) if number is None else number

    def weight(self, word: str) -> float:
        """How rare a word is: 0 to 1, which an unknown one has."""
        number = self.entry(word)
        return 1.0 if number is None else self._rarity[number] / 255

    def crossed(self, words: Sequence[str]) -> list[int]:
        """The numbers, from 1, of the words that take part in pairs."""
        numbers, known = self._numbers, self.known
        return [number + 1 for number in map(numbers.get, words) if number is not None and number < known]

    def knows(self, word: str) -> bool:
        """Whether the word stood in the training dialogues."""
        return self._numbers.get(word, self.known) < self.known
