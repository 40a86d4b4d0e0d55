"""Kept runs of `fleet eval`, and two of them compared case by case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fleet.audit.cases import Case
from fleet.audit.scoring import Outcome
from fleet.audit.significance import Paired
from fleet.audit.whole_file import whole_file
from fleet.errors import InputError

__all__ = ["Against", "Run", "compare_runs", "read_run", "save_run"]


class RunCase(BaseModel):
    """How one case came out. `digest` is of the case's own words: the same id may name another case elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    digest: str
    right: bool
    strata: tuple[str, ...] = ()


class Run(BaseModel):
    """A run: by which model and prompt (a file's name, "" for the default one), and each case."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    fleet_eval: int = 1  # the file's version
    model: str
    prompt: str = ""
    cases: tuple[RunCase, ...]

    @classmethod
    def of(cls, model: str, prompt: str, cases: Iterable[Case], outcomes: Sequence[Outcome]) -> Run:
        """The run whose outcomes these are, in the order of the cases; right is right in action and agent."""
        pairs = zip(cases, outcomes, strict=True)
        return cls(
            model=model,
            prompt=prompt,
            cases=tuple(
                RunCase(id=each.id, digest=_digest(each), right=came.joint, strata=each.strata) for each, came in pairs
            ),
        )


@dataclass(frozen=True)
class Against:
    """Two runs over the cases that both have; `unpaired` are those that only one of them has, or that were changed.

    `strata` holds the same comparison for each stratum's cases.
    """

    old: Run
    paired: Paired
    unpaired: int
    strata: Mapping[str, Paired]

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "model": self.old.model,
            "prompt": self.old.prompt,
            "unpaired": self.unpaired,
            **self.paired.as_dict(),
            "strata": {name: each.as_dict() for name, each in self.strata.items()},
        }


def save_run(path: Path, run: Run) -> None:
    """Write a run to a file, in place of what is there. Raises: InputError."""
    with whole_file(path) as file:
        file.write(run.model_dump_json().encode() + b"\n")


def read_run(path: Path) -> Run:
    """A kept run. Raises: InputError for a file that is none."""
    try:
        return Run.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValidationError:
        raise InputError(f"{path} is no run of `fleet eval --save`") from None


def compare_runs(old: Run, new: Run) -> Against:
    """The new run against the old one. Raises: InputError if they have no case in common."""
    before = {(each.id, each.digest): each.right for each in old.cases}
    both = [each for each in new.cases if (each.id, each.digest) in before]
    if not both:
        raise InputError("the two runs have no case in common; they are compared case by case")
    strata: dict[str, list[tuple[bool, bool]]] = {}
    pairs: list[tuple[bool, bool]] = []
    for each in both:
        pair = (before[each.id, each.digest], each.right)
        pairs.append(pair)
        for name in each.strata:
            strata.setdefault(name, []).append(pair)
    unpaired = len(old.cases) + len(new.cases) - 2 * len(both)
    return Against(old, Paired.of(pairs), unpaired, {name: Paired.of(each) for name, each in sorted(strata.items())})


def _digest(case: Case) -> str:
    words = json.dumps(case.model_dump(mode="json", exclude={"strata"}), sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()[:12]
