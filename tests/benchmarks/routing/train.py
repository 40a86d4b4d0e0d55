"""Train the weights of offline:router.

    pip install -e '.[train]'
    python tests/benchmarks/routing/train.py DATA_DIR --out fleet/llm/offline/router.weights

DATA_DIR holds sgd_train_big.jsonl.gz, irc_train.jsonl.gz and agents.json (README.md there says what a case is). Every
15th user of the task dialogues is kept back from training: the temperature is fitted on those. Seeded: the same data
and libraries give the same weights. About 25 minutes on one core. The dev files are for choosing, and not read here.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import print_case, read_lines, right_choice, texts, topic_lines, vary
from export import export
from net import Feeder, Net
from openings import as_question, beside
from prepare import MOST_THREADS, Table, Texts, build_table, count_words, join_tables, rarities
from torch.nn import functional
from vectors import word_vectors

from fleet.llm.offline.printed import Printed
from fleet.llm.offline.scorer import ENDINGS, ending_of
from fleet.llm.offline.words import Text, read_text, words_of

COMMON, DIM = 8500, 32
KEPT_BACK = 15  # every so many users
FAMILIAR = [30.0, 0.79]  # how steeply, and from which share of known words on, agents are familiar
SHARE = 0.6  # what the judge that knows words counts; the other has the rest
LABEL = "Schema-Guided Dialogue (CC BY-SA 4.0); Ubuntu IRC disentanglement, Kummerfeld et al. 2019 (CC BY 4.0)"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with the training files")
    parser.add_argument("--out", type=Path, default=Path("router.weights"))
    parser.add_argument("--cases", type=int, default=72_000, help="task cases to use")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--version", type=int, default=1, help="the number that the weights carry")
    return parser.parse_args()


def one_agent(printed: Printed, gold: int) -> tuple[Printed, int]:
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


def fit(net: Net, feed: Feeder, weights: np.ndarray, epochs: int, rate: float, seed: int, batch: int = 128) -> None:
    """Train in place: Adam, one cycle of at most `rate`; `weights` is how much each case counts."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    fine, coarse = ("words",), ("cross",)
    groups = [
        {"params": [net.words], "lr": 0.2 * rate},
        {"params": [net.cross], "lr": 2.5 * rate},
        {"params": [each for name, each in net.named_parameters() if name not in fine + coarse], "lr": 0.5 * rate},
    ]
    optimizer = torch.optim.Adam(groups)
    steps = len(feed.table) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [each["lr"] for each in groups], total_steps=epochs * steps + 1, pct_start=0.1
    )
    counts = torch.from_numpy(weights).float()
    for epoch in range(epochs):
        net.train()
        order, total = rng.permutation(len(feed.table)), 0.0
        for step in range(steps):
            at = order[step * batch : (step + 1) * batch]
            inputs, gold = feed.batch(net, at)
            both = net(inputs, words=0.15, cross=0.3, agent=0.3, near=0.3, number=0.1)
            losses = [functional.cross_entropy(each, gold, reduction="none") * counts[at] for each in both]
            loss = losses[0].mean() + losses[1].mean() + 1e-5 * (net.cross**2).sum() + 3e-5 * (net.kinds**2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}: loss {total / steps:.3f}", flush=True)


def judged(net: Net, feed: Feeder) -> tuple[np.ndarray, np.ndarray]:
    """The logarithms of both judges' probabilities for every case of the table."""
    net.eval()
    parts: list[list[np.ndarray]] = [[], []]
    with torch.no_grad():
        for start in range(0, len(feed.table), 500):
            inputs, _ = feed.batch(net, np.arange(start, min(start + 500, len(feed.table))))
            for kept, scores in zip(parts, net(inputs), strict=True):
                kept.append(torch.log_softmax(scores, -1).numpy())
    return np.concatenate(parts[0]), np.concatenate(parts[1])


def fit_temperature(scores: np.ndarray, gold: np.ndarray) -> float:
    """The temperature under which the right answers are likeliest."""

    def surprise(temperature: float) -> float:
        logs = torch.log_softmax(torch.from_numpy(scores / temperature), -1).numpy()
        return float(-logs[np.arange(len(gold)), gold].mean())

    return min((round(0.6 + 0.02 * step, 2) for step in range(60)), key=surprise)


def main() -> None:
    a = arguments()
    torch.set_num_threads(1)
    rng = random.Random(a.seed)
    offered = json.loads((a.data / "agents.json").read_text("utf-8"))["agents"]
    tasks = read_lines(a.data / "sgd_train_big.jsonl.gz")
    tasks = rng.sample(tasks, min(a.cases, len(tasks)))
    talks = read_lines(a.data / "irc_train.jsonl.gz")
    told = [(print_case(each, offered), right_choice(each)) for each in tasks]
    talked = [(print_case(each, offered), right_choice(each)) for each in talks]
    words, rarity, numbers = vocabulary([each for each, _ in told], [each for each, _ in talked])
    vectors = word_vectors(
        (words_of(each) for each in documents([each for each, _ in told + talked])),
        [[part for word in line for part in words_of(word)] for line in topic_lines()],
        numbers, DIM, a.seed,
    )  # fmt: skip
    count = len(words)
    store = Texts()

    @cache
    def read(text: str) -> Text:
        return read_text(text, lambda word: rarity.get(word, 255) / 255)

    def number(word: str) -> int:
        return numbers.get(word, count + ending_of(word))

    def table(cases: Sequence[tuple[Printed, int]]) -> Table:
        return build_table(cases, read, store, number)

    back = [at for at, each in enumerate(tasks) if each["user"] % KEPT_BACK == 0]
    kept_back = set(back)
    front = [at for at in range(len(tasks)) if at not in kept_back]
    held = table([told[at] for at in back])
    rooms = [*talked, *((vary(printed, rng), gold) for printed, gold in talked)]
    rooms += [one_agent(*told[at]) for at in front[:4000]]
    room = table(rooms)
    varied = table([(vary(told[at][0], rng), told[at][1]) for at in front])
    more = table(openings([told[at] for at in rng.sample(front, min(9_000, len(front)))], talked, rng))
    print(f"{len(varied)} task cases, {len(more)} made of others, {len(room)} of rooms; {count} words", flush=True)
    flat, ends = store.arrays()
    net = Net(np.concatenate([vectors, np.zeros((ENDINGS, DIM), np.float32)]), COMMON)
    # In the rooms' files the newest thread is continued less often than it is in a room.
    gold = room.gold[: 2 * len(talked)]
    of_room = np.ones(len(room))
    of_room[: len(gold)] = np.where(gold == 0, 1.7, np.where(gold >= MOST_THREADS, 0.5, 1.0))
    for tables, epochs, rate in (([varied], a.epochs, 4e-3), ([varied, more], max(1, a.epochs // 2), 2e-3)):
        whole = join_tables([*tables, room])
        weight = np.concatenate([np.ones(len(whole) - len(room)), of_room])
        fit(net, Feeder(whole, flat, ends, COMMON), weight, epochs, rate, a.seed)
    knows, compares = judged(net, Feeder(held, flat, ends, COMMON))
    scores = SHARE * knows + (1 - SHARE) * compares
    temperature = fit_temperature(scores, held.gold)
    right = float((scores.argmax(1) == held.gold).mean())
    about: dict[str, Any] = {
        "version": a.version, "licence": "CC BY-SA 4.0, see router.weights.NOTICE", "trained_on": LABEL, "seed": a.seed,
        "cases": len(whole), "scores": {"kept_back_users": round(right, 4)}, "familiar": FAMILIAR, "share": SHARE,
    }  # fmt: skip
    a.out.write_bytes(export(net, words, rarity, temperature, about))
    print(f"{a.out}: {a.out.stat().st_size} bytes, temperature {temperature}, kept back {right:.4f}")


def openings(
    told: list[tuple[Printed, int]], talked: list[tuple[Printed, int]], rng: random.Random
) -> list[tuple[Printed, int]]:
    """Openings in other forms, and talk of rooms beside task dialogues, two of each."""
    made: list[tuple[Printed, int]] = []
    for _ in range(2):
        for printed, gold in told:
            if gold >= len(printed.threads) and (asked := as_question(printed, rng)) is not None:
                made.append((asked, gold))
        for room, gold in talked:
            if (both := beside(room, gold, *rng.choice(told), rng)) is not None:
                made.append(both)
    return [(vary(printed, rng), gold) for printed, gold in made]


def vocabulary(told: list[Printed], talked: list[Printed]) -> tuple[list[str], dict[str, int], dict[str, int]]:
    """The commonest words, then the words of the topics; how rare each is; each one's number."""
    held, total = count_words(texts(iter(told)))
    more, others = count_words(texts(iter(talked)))
    held.update(more)
    words = [word for word, count in held.most_common(COMMON) if count >= 3]
    words += sorted({part for line in topic_lines() for word in line for part in words_of(word)} - set(words))
    return words, rarities(held, total + others, words), {word: at for at, word in enumerate(words)}


def documents(cases: list[Printed]) -> list[str]:
    """Distinct threads and messages, in an order that depends on nothing."""
    threads = {f"{each.summary} {each.last_assistant_message}" for case in cases for each in case.threads}
    return sorted(threads | {case.message for case in cases})


if __name__ == "__main__":
    main()
