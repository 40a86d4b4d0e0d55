"""What words mean to the router: words of one stem, words that it does not know, and how far texts cover each other."""

import numpy as np
import pytest

from fleet.llm.offline.likeness import AGENT_LIKENESS, THREAD_LIKENESS, Likeness
from fleet.llm.offline.scorer import shipped_scorer
from fleet.llm.offline.vectors import Vectors
from fleet.llm.offline.vocabulary import Vocabulary
from fleet.llm.offline.weights import load_weights
from fleet.llm.offline.words import read_text

WORDS = Vocabulary(["boiler", "leak", "~heat", "~poem"], [200, 180, 150, 220], known=2)
ROWS = np.array([[3, 1, 0, 0], [2, 2, 0, 0], [3, 0, 1, 0], [0, 0, 0, 3]], np.int8)
VECTORS = Vectors(WORDS, ROWS, np.array([255, 200, 200, 255], np.uint8))


def text(words: str):
    return read_text(words, WORDS.weight)


def test_a_word_is_found_by_its_spelling_then_by_its_stem():
    assert [WORDS.entry(word) for word in ("boiler", "heating", "heated", "poems", "zebra")] == [0, 2, 2, 3, None]
    assert WORDS.knows("boiler")
    assert not WORDS.knows("heating")
    assert WORDS.weight("zebra") == 1.0
    assert WORDS.crossed(("the", "leak", "heating", "boiler")) == [2, 1]


def test_a_text_covers_what_is_near_to_its_words():
    covers, covered = VECTORS.compare(text("the heating, a leak"), [text("boiler leak"), text("poems"), text("")])
    assert covers[0] > 0.8
    assert covered[0] > 0.8
    assert covers[1:] == [0, 0]
    assert covered[1:] == [0, 0]
    assert VECTORS.compare(text("leak"), [text("a leak, now")])[0] == [pytest.approx(1)]


def test_a_word_that_it_does_not_know_is_near_itself_alone():
    same, other = VECTORS.compare(text("zebra"), [text("a zebra"), text("qwxyz")])[0]
    assert same == pytest.approx(1)
    assert other < 0.9
    assert not VECTORS.pool(("zebra",)).any()


def test_nothing_said_is_near_to_nothing():
    assert VECTORS.compare(text(""), [text("boiler")]) == ([0.0], [0.0])
    nothing = Likeness(text(""), [], [], [], [], [], VECTORS.compare)
    assert (nothing.best_thread, nothing.best_agent) == (0, 0)


def test_likeness_gives_a_number_for_each_of_its_names():
    said, thread = text("the heating leaks"), [text(each) for each in ("which boiler?", "boiler", "a leak", "leak", "")]
    found = Likeness(said, [thread], [[text("boiler"), text("")]], [[text("heat")]], [[]], [0], VECTORS.compare)
    of_thread, of_agent = found.of_thread(0), found.of_agent(0)
    assert len(of_thread) == len(THREAD_LIKENESS)
    assert len(of_agent) == len(AGENT_LIKENESS)
    assert dict(zip(AGENT_LIKENESS, of_agent, strict=True))["like_capability"] > 0.9


def test_the_shipped_vectors_know_what_everyday_words_mean():
    scorer, weights = shipped_scorer(), load_weights()
    words = Vocabulary(weights.entries(), weights.arrays["rarity"].tolist(), weights.head["known"])
    vectors = Vectors(words, weights.arrays["vectors"], weights.arrays["strength"])
    covers = vectors.compare(
        read_text("my knee hurts", words.weight),
        [read_text(each, words.weight) for each in ("pain and injuries", "contracts and law", "a new sofa")],
    )[0]
    assert covers[0] > max(covers[1:])
    assert scorer.knows("knees")
    assert not scorer.knows("gartenschlauch")
