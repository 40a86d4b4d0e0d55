"""How fast the audit answers on a long ledger, each command as a new process.

    PYTHONPATH=.:tests python tests/benchmarks/bench_audit.py [--events 1000000] [--home DIR] [--repeat 5] [--json]

seeds a ledger of that many events through the real ledger's code, six events a message over thirty days: accepted,
decided, turn started, model step, turn ended, delivered, with a transcript for each decision. A home that is there is
used as it is. Reported are wall and processor seconds (medians), peak memory, and decisions a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

FLEET = (sys.executable, "-m", "fleet.cli")
EVENTS_A_MESSAGE = 6
DAYS = 30
AGENTS = ("schedule", "billing", "handbook", "it_help")
MODELS = ("claude-haiku-4-5", "claude-haiku-5-5")
TOGETHER = 500  # drafts in one commit


async def seed(home: Path, events: int, users: int) -> None:
    from fleet.ledger import batch
    from fleet.ledger.base import Draft
    from fleet.ledger.events import FleetStarted
    from fleet.runtime.home import Home

    messages = max(1, events // EVENTS_A_MESSAGE)
    first_day = batch.now_us() - DAYS * 86_400_000_000
    at = first_day
    batch.now_us = lambda: at  # the ledger's clock: the messages come over the last thirty days
    with Home(home).open_ledger() as ledger:
        if ledger.head()[0]:
            raise SystemExit(f"{home} holds a ledger already")
        prompt, base = _rules()
        started = FleetStarted(app="bench", code_version="0.1.0", pid=1, host="bench")
        await ledger.append(Draft("fleet", 0, (started,), blobs=(prompt, base)))
        for first in range(0, messages, TOGETHER):
            at = first_day + DAYS * 86_400_000_000 * first // messages
            numbers = range(first, min(first + TOGETHER, messages))
            drafts = [_drafts(n, f"user-{n % users:05}", n // users, prompt.hash, base.hash, at) for n in numbers]
            for stage in zip(*drafts, strict=True):
                await asyncio.gather(*(ledger.append(draft) for draft in stage))
                at += 900_000


def _rules():
    from fleet.ledger.base import Blob
    from fleet.prompting.prompts import default_prompt

    return Blob.of(default_prompt("dispatcher")), Blob.of(_printed(0, "", ()))


def _printed(number: int, text: str, threads: tuple[str, ...]) -> str:
    agents = "\n".join(f"agent: {role}\n  description: Knows about {role} and nothing else." for role in AGENTS)
    shown = "\n".join(
        f'threads[{place}]:\n  id: {thread}\n  name: "Topic {number - place}"\n  agent: {AGENTS[place % 4]}'
        for place, thread in enumerate(threads)
    )
    return (
        f"Current UTC time: 2026-03-02T09:00:00\n{agents}\nthreads:\n{shown}\nIncoming message:\n{json.dumps(text)}\n"
    )


def _drafts(number: int, user: str, turn: int, prompt: str, base: str, at: int):
    """The drafts of one message, in the order in which they come."""
    from fleet.ledger import events as ev
    from fleet.ledger.base import Blob, Draft

    topic = turn // 3  # of three messages, the second and third continue the first one's thread
    thread, job, message = f"thr_{user}_{topic:06x}", f"job_{user}_{topic:06x}", f"msg_{number:012x}"
    text = f"Message {number}: what about the appointment in week {number % 52}, and could it be an hour later?"
    recent = tuple(f"thr_{user}_{each:06x}" for each in range(topic, max(-1, topic - 5), -1)) if turn else ()
    opens, refused, agent = turn % 3 == 0, number % 20 == 0, AGENTS[number % 4]
    action = f'start_new_thread(agent="{agent}", language="en", name="Topic {number}")'
    answer = f"```python\n# About week {number % 52}.\n{action if opens else 'dispatch_to(threads[0])'}\n```"
    model = MODELS[number % 2]
    attempt = ev.Attempt(
        model=model, answer=answer, stop_reason="end_turn", input_tokens=1400 + number % 300, output_tokens=40,
        cache_read_tokens=900, cost_usd=0.0014 + number % 7 / 1e5, latency_us=400_000 + number * 7919 % 900_000,
    )  # fmt: skip
    attempts = (attempt.model_copy(update={"verdict": "no_action", "message": "no action"}), attempt)
    shown = Blob.of(_printed(number, text, recent), base)
    decision = ev.Decision(
        by="model", outcome="start_new_thread" if opens else "dispatch_to", thread_id=thread, job_id=job, agent=agent,
        thread_index=None if opens else 0, name=f"Topic {number}", language="en",
        reason=f"The message is about week {number % 52}.", agents=AGENTS, transcript=shown.hash, prompt=prompt,
        prompt_name="prompts/dispatcher.md", attempts=attempts if refused else attempts[1:], code_version="0.1.0",
        candidates=tuple(
            ev.Candidate(thread_id=each, agent=agent, name=f"Topic {number}", latest_activity_at=at - 60_000_000)
            for each in recent
        ),
        latency_us={"queue": 900 + number % 400, "warmup": 700, "model": attempt.latency_us, "parse": 150},
    )  # fmt: skip
    said = ({"type": "text", "text": f"An hour later in week {number % 52} is fine."},)
    step = ev.ModelAnswered(
        job_id=job, turn=turn % 3 + 1, content=said, stop_reason="end_turn", model="claude-sonnet-5", input_tokens=900,
        output_tokens=60, cost_usd=0.0036, latency_us=1_200_000,
    )  # fmt: skip
    reply = f"rep_{user}_{turn:06x}"
    started = ev.TurnStarted(job_id=job, thread_id=thread, turn=turn % 3 + 1, message_ids=(message,))
    ended = ev.TurnEnded(
        job_id=job, thread_id=thread, user=user, turn=turn % 3 + 1, message_ids=(message,), result="success",
        reply_id=reply, reply=f"An hour later in week {number % 52} is fine.", summary=f"Topic {number}",
    )  # fmt: skip
    accepted = ev.MessageAccepted(message_id=message, user=user, text=text, channel="chat")
    decided = ev.MessageDecided(message_id=message, user=user, text=text, decision=decision)
    delivered = ev.ReplyDelivered(reply_id=reply, thread_id=thread)
    return (
        Draft(f"message:{message}", 0, (accepted,), user),
        Draft(f"message:{message}", 1, (decided,), user, (shown,)),
        Draft(f"job:{job}", turn % 3 * 3, (started, step, ended), user),
        Draft(f"reply:{reply}", 0, (delivered,), user),
    )


def cases(home: Path, messages: int, folder: Path) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Each measured command: what it is called, its words, whether it goes through every decision."""
    middle = f"msg_{messages // 2:012x}"
    yield "fleet --version", ("--version",), False
    yield "fleet why --last", ("why", "--last"), False
    yield "fleet why ID", ("why", middle), False
    yield "fleet why ID --json", ("why", middle, "--json"), False
    yield "fleet audit list", ("audit", "list"), False
    yield "fleet audit list --json --limit 20", ("audit", "list", "--json", "--limit", "20"), False
    yield "fleet audit stats", ("audit", "stats"), True
    yield "fleet audit export", ("audit", "export", "--out", str(folder / "out.jsonl")), True
    yield "fleet audit export --format csv", ("audit", "export", "--out", str(folder / "out.csv")), True
    otlp = ("audit", "export", "--format", "otlp", "--out", str(folder / "otlp.jsonl"))
    yield "fleet audit export --format otlp", otlp, True
    yield "fleet audit export --redact", ("audit", "export", "--redact", "--out", str(folder / "r.jsonl")), True


def measured(words: tuple[str, ...], home: Path) -> tuple[float, float, float]:
    """Wall and processor seconds, and peak memory in MB, of one run. This process stays small: a child inherits."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [*FLEET, *words],
        env={**os.environ, "FLEET_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"fleet {' '.join(words)} ended with {process.returncode}")
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--home", type=Path, help="keep the ledger here, or use the one that is there")
    parser.add_argument("--repeat", type=int, default=5, help="runs of the short commands")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed-only", action="store_true")
    a = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench_audit_"))
    home = a.home or folder / "home"
    try:
        if a.seed_only:
            asyncio.run(seed(home, a.events, a.users))
            return
        if not (home / "ledger.db").exists():
            began = time.perf_counter()
            words = ("--events", str(a.events), "--users", str(a.users), "--home", str(home), "--seed-only")
            subprocess.run([sys.executable, __file__, *words], check=True)
            took = time.perf_counter() - began
            print(f"seeded {a.events} events in {took:.0f} s", file=sys.stderr)
        size = (home / "ledger.db").stat().st_size
        messages = max(1, a.events // EVENTS_A_MESSAGE)
        for name, words, whole in cases(home, messages, folder):
            runs = [measured(words, home) for _ in range(1 if whole else a.repeat)]
            wall, cpu, rss = (statistics.median(each) for each in zip(*runs, strict=True))
            found = {"command": name, "wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "rss_mb": round(rss)}
            if whole:
                found["decisions_per_s"] = round(messages / wall)
            if a.json:
                print(json.dumps({**found, "events": a.events, "ledger_bytes": size}), flush=True)
            else:
                print(
                    f"{name:36} {wall:8.3f} s wall {cpu:8.3f} s cpu {rss:6.0f} MB"
                    + (f" {messages / wall:8.0f} decisions/s" if whole else ""),
                    flush=True,
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
