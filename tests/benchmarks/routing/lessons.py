"""What the judges are trained on: the training files' cases, varied, and the words and vectors to read them with."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from corpus import print_case, read_lines, right_choice, texts, topic_lines
from dialogues import Agent, interleave, read_trades
from openings import as_question, beside
from prepare import Group, Table, Texts, build_tables, count_words, rarities
from recombine import Case, recombine
from sentences import sentences
from vectors import distil, encode, everyday_rarity, everyday_stems, first_vectors

from fleet.llm.offline.printed import Printed
from fleet.llm.offline.vectors import Vectors
from fleet.llm.offline.vocabulary import STEM, Vocabulary
from fleet.llm.offline.words import Text, read_text, stem, words_of

KNOWN, EVERYDAY, DIM = 8_500, 12_500, 64  # words of the training dialogues, stems of English, width of a vector
KEPT_BACK = 15  # every so many users
TALKS = Path(__file__).with_name("talks")


@dataclass
class Lessons:
    """Tables of cases by name, their texts as numbers of words, and the words."""

    tables: dict[str, Table]
    flat: np.ndarray
    ends: np.ndarray
    pooled: np.ndarray  # the shared vector of each text
    entries: list[str]
    rarity: np.ndarray
    rows: np.ndarray  # of the shared vectors
    strength: np.ndarray


def prepare(a: argparse.Namespace) -> Lessons:
    """Read the training files, make the vectors, and describe every case. Ten minutes for that, ten for the texts."""
    rng = random.Random(a.seed)
    offered = json.loads((a.data / "agents.json").read_text("utf-8"))["agents"]
    tasks = read_lines(a.data / "sgd_train_big.jsonl.gz")
    tasks = rng.sample(tasks, min(a.cases, len(tasks)))
    told = [(print_case(each, offered), right_choice(each)) for each in tasks]
    talked = [(print_case(each, offered), right_choice(each)) for each in read_lines(a.data / "irc_train.jsonl.gz")]
    many = [agents for each in sorted(TALKS.glob("*.txt")) for agents in read_trades(each).values()]
    entries, rarity, groups = vocabulary([each for each, _ in told], [each for each, _ in talked])
    held = Vocabulary(entries, rarity.tolist(), KNOWN)
    rows, strength = shared_vectors(a, held, rarity, groups, many)
    vectors = Vectors(held, rows, strength)

    @lru_cache(maxsize=30_000)
    def read(text: str) -> Text:
        return read_text(text, held.weight)

    front = [case for case, each in zip(told, tasks, strict=True) if each["user"] % KEPT_BACK]
    back = [case for case, each in zip(told, tasks, strict=True) if not each["user"] % KEPT_BACK]
    groups_of_cases = {
        "kept_back": Group(back[:3_000]),
        "unseen_trades": Group(interleave(list(read_trades().values()), 3_000, random.Random(a.seed))),
        "room": Group(talked),
        "varied_room": Group([*talked, *(one_agent(*case) for case in front[:4_000])], a.seed),
        "tasks": Group(front, a.seed),
        "mixed": Group(recombine(front, rng), a.seed),
        "openings": Group(openings(rng.sample(front, min(9_000, len(front))), talked, front, rng), a.seed),
        "trades": Group(interleave(many, 45_000, random.Random(f"{a.seed} trades"))),
        "varied_trades": Group(interleave(many, 20_000, random.Random(f"{a.seed} varied")), a.seed),
    }
    store = Texts()
    described = build_tables(list(groups_of_cases.values()), read, vectors.compare, store, a.processes)
    tables = dict(zip(groups_of_cases, described, strict=True))
    print(", ".join(f"{len(each)} of {name}" for name, each in tables.items()), f"{len(entries)} words", flush=True)
    flat, ends = store.arrays(lambda word: len(entries) if (entry := held.entry(word)) is None else entry)
    pooled = np.stack([vectors.pool(words) for words in store.numbers])
    return Lessons(tables, flat, ends, pooled, entries, rarity, rows, strength)


def shared_vectors(
    a: argparse.Namespace, held: Vocabulary, rarity: np.ndarray, groups: list[list[str]], trades: list[list[Agent]]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows and the strengths of the shared vectors, for every entry."""
    cases = read_lines(a.data / "sgd_train.jsonl.gz")
    told = sentences(a.wordnet, trades, cases, lambda word: held.entry(word) is not None, random.Random(1))
    meaning = np.concatenate([encode(told), encode([group[0] for group in groups])])
    numbers = [[entry for word in words_of(each) if (entry := held.entry(word)) is not None] for each in told]
    numbers += [[number] for number in range(len(groups))]
    kept = [at for at, each in enumerate(numbers) if each]
    usual = np.maximum(rarity / 255, 0.08) ** 2
    return distil(first_vectors(groups, DIM), usual, [numbers[at] for at in kept], meaning[kept], a.seed)


def vocabulary(told: list[Printed], talked: list[Printed]) -> tuple[list[str], np.ndarray, list[list[str]]]:
    """The entries, how rare each is, and the words whose meaning each begins with.

    The commonest words of the training dialogues come first; then words of the topics that are no everyday English
    (their topic's words say what they mean), then stems.
    """
    held, total = count_words(texts(iter(told)))
    more, others = count_words(texts(iter(talked)))
    held.update(more)
    entries = [word for word, count in held.most_common(KNOWN) if count >= 3]
    rare = rarities(held, total + others, entries)
    for word in entries:
        if word.isalpha():
            rare[word] = min(rare[word], max(20, round(255 * everyday_rarity(word))))
    groups = [[word] for word in entries]
    stems, seen = everyday_stems(EVERYDAY), set(entries)
    lines: dict[str, list[str]] = {}
    for line in topic_lines():
        for word in line:
            for part in words_of(word):
                lines.setdefault(part, line)
    for part in sorted(lines):
        if part not in seen and stem(part) not in stems:
            entries.append(part)
            rare[part] = round(255 * max(0.3, everyday_rarity(part)))
            groups.append([each for word in lines[part] for each in words_of(word)][:12])
    for key, words in stems.items():
        entries.append(STEM + key)
        rare[STEM + key] = max(20, round(255 * everyday_rarity(words[0])))
        groups.append(words[:3])
    return entries, np.array([rare[each] for each in entries], np.uint8), groups


def one_agent(printed: Printed, gold: int) -> Case:
    """The same moment in an application that has no other agent than the right one."""
    threads = len(printed.threads)
    role = printed.threads[gold].agent if gold < threads else printed.agents[gold - threads].role
    kept = [at for at, each in enumerate(printed.threads) if each.agent == role]
    alone = replace(
        printed,
        agents=tuple(each for each in printed.agents if each.role == role),
        threads=tuple(printed.threads[at] for at in kept),
    )
    return alone, kept.index(gold) if gold in kept else len(kept)


def openings(some: Sequence[Case], talked: Sequence[Case], front: Sequence[Case], rng: random.Random) -> list[Case]:
    """Openings in other forms, and talk of rooms beside task dialogues."""
    made: list[Case] = []
    for printed, gold in some:
        if gold >= len(printed.threads) and (asked := as_question(printed, rng)) is not None:
            made.append((asked, gold))
    for room, gold in talked:
        if (both := beside(room, gold, *rng.choice(front), rng)) is not None:
            made.append(both)
    return made
