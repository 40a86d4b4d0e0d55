"""Draw how sure the router without a key is, and how right: `reliability.svg` beside this file.

    python tests/benchmarks/routing/reliability.py DATA_DIR

DATA_DIR holds sgd_dev.jsonl and agents.json. Needs the extra `plot`; about 15 seconds on one core.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from fleet.audit.cases import read_cases, read_offered
from fleet.audit.evaluate import decider_for, evaluate
from fleet.audit.picture import check_picture
from fleet.audit.score_chart import draw_score
from fleet.audit.scoring import Score
from fleet.llm.offline.router import OfflineRouter
from fleet.settings import Settings

PICTURE = Path(__file__).with_name("reliability.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA_DIR")
    parser.add_argument("--out", type=Path, default=PICTURE)
    given = parser.parse_args()
    check_picture(given.out)
    cases = given.data / "sgd_dev.jsonl"
    offered = read_offered(cases, None)
    router = OfflineRouter()
    decider = decider_for(offered, router, router, Settings())
    score = Score.of(asyncio.run(evaluate(read_cases(cases, offered), offered, decider)))
    draw_score(score, router.name, given.out)
    error = f"{score.calibration.error:.4f}" if score.calibration else "-"
    print(f"{score.n} cases, joint accuracy {score.joint_accuracy}, expected calibration error {error}: {given.out}")


if __name__ == "__main__":
    main()
