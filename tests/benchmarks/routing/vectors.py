"""Word vectors from which words stand together: in the training texts, and in the lines of the topics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from fleet.llm.offline.words import STOP


def word_vectors(
    documents: Iterable[Sequence[str]], topics: Sequence[Sequence[str]], words: dict[str, int], dim: int, seed: int
) -> np.ndarray:
    """One row a word, of unit length at most: what is largest in their positive pointwise mutual information."""
    rows, n = [], len(words)
    for document in documents:
        rows.append(sorted({words[each] for each in document if each in words}))
    held = _incidence(rows, n)
    both = (held.T @ held).astype(np.float64)
    for line in (_incidence([sorted({words[w] for w in t if w in words})], n) for t in topics):
        both = both + 6.0 * (line.T @ line)
    both = both.tocoo()
    keep = both.row != both.col
    row, col, count = both.row[keep], both.col[keep], both.data[keep]
    margin = np.bincount(row, count, n) + 1e-9
    smooth = margin**0.75
    value = np.log(count * smooth.sum() / (margin[row] * smooth[col]))
    positive = value > 0
    ppmi = sparse.csr_matrix((value[positive], (row[positive], col[positive])), (n, n))
    u, s, _ = svds(ppmi, k=dim, random_state=seed)
    found = u * np.sqrt(s)
    stop = np.array([words[each] for each in STOP if each in words])
    length = np.linalg.norm(found, axis=1, keepdims=True)
    found = found / np.maximum(length, np.median(length))
    found[stop] *= 0.3
    return found.astype(np.float32)


def _incidence(rows: list[list[int]], n: int) -> sparse.csr_matrix:
    ends = np.cumsum([0, *(len(each) for each in rows)])
    flat = np.fromiter((each for row in rows for each in row), np.int64, ends[-1])
    return sparse.csr_matrix((np.ones(len(flat), np.float32), flat, ends), (len(rows), n))
