"""The same work as a LangGraph router with its SQLite checkpointer: one graph thread a user, one run a message.

In an environment of its own: pip install langgraph langgraph-checkpoint-sqlite httpx. The graph's state holds the
user's threads; its one node prints the candidates, asks the model over HTTP and applies what it said; the checkpointer
makes every step durable. Figures carry the names of bench_routing.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, TypedDict

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import fake_model
import httpx
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph

AGENTS = ("information_retriever", "schedule_assistant", "preferences_assistant", "sounding_board")


class State(TypedDict):
    """One user: the message to route, and their threads, newest last."""

    message: str
    threads: list[dict[str, Any]]


def transcript(state: State) -> str:
    lines = ["Incoming message:", json.dumps(state["message"]), "Available agents:"]
    lines += [f"- {agent}: Handles {agent}" for agent in AGENTS]
    lines.append("Recent threads:")
    for i, thread in enumerate(reversed(state["threads"][-5:])):
        lines += [f"threads[{i}]:", json.dumps(thread["summary"]), f"agent: {thread['agent']}"]
    return "\n".join(lines)


async def run(a: argparse.Namespace, folder: Path, url: str) -> dict[str, Any]:
    latency = a.latency_ms / 1000
    client = httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=200, max_keepalive_connections=200))

    async def ask(text: str) -> str:
        if not url:
            await asyncio.sleep(latency)
            return fake_model.answer(text)
        body = {"model": "bench-router", "max_tokens": 512, "messages": [{"role": "user", "content": text}]}
        answer = await client.post(f"{url}/v1/messages", json=body)
        return str(answer.json()["content"][0]["text"])

    async def route(state: State) -> dict[str, Any]:
        said = await ask(transcript(state))
        threads = list(state["threads"])
        found = re.search(r"threads\[(\d+)\]", said)
        if found:
            thread = threads.pop(len(threads) - 1 - int(found.group(1)))
            threads.append({**thread, "summary": f"{thread['summary'][-200:]} {state['message']}"})
        else:
            threads.append({"agent": AGENTS[0], "summary": state["message"]})
        return {"threads": threads}

    builder = StateGraph(State)
    builder.add_node("route", route)
    builder.add_edge(START, "route")
    builder.add_edge("route", END)
    done: dict[int, float] = {}
    order: list[int] = []
    pushed: dict[int, float] = {}
    slots = asyncio.Semaphore(a.concurrency)
    async with AsyncSqliteSaver.from_conn_string(str(folder / "graph.db")) as saver:
        await saver.conn.execute("PRAGMA journal_mode=WAL")
        await saver.conn.execute("PRAGMA synchronous=FULL")  # durable, as the others are
        graph = builder.compile(checkpointer=saver)
        known: set[int] = set()
        locks = [asyncio.Lock() for _ in range(a.users)]

        async def push(i: int) -> None:
            user = i % a.users
            pushed[i] = time.perf_counter()
            async with locks[user], slots:
                state: dict[str, Any] = {"message": f"MSG {i} please continue or start something"}
                if user not in known:
                    known.add(user)
                    state["threads"] = []
                await graph.ainvoke(state, {"configurable": {"thread_id": str(user)}}, durability="sync")
            done[i] = time.perf_counter()
            order.append(i)

        for i in range(a.serial):
            await push(i)
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(push(i) for i in range(a.serial, a.serial + a.messages)))
        burst_s, burst_cpu = time.perf_counter() - wall, time.process_time() - cpu
    await client.aclose()
    last: dict[int, int] = {}
    inversions = 0
    for i in order:
        if i >= a.serial:
            inversions += i < last.get(i % a.users, -1)
            last[i % a.users] = i
    serial = [1000 * (done[i] - pushed[i]) for i in range(a.serial)] or [0.0]
    size = sum(path.stat().st_size for path in folder.rglob("*"))
    return {
        "peer": "langgraph", "messages": a.messages, "latency_ms": a.latency_ms, "users": a.users,
        "concurrency": a.concurrency, "transport": a.transport, "routed": len(done),
        "same_user_order_inversions": inversions, "burst_s": round(burst_s, 3),
        "routed_per_s": round(a.messages / burst_s, 1), "cpu_ms_per_message": round(1000 * burst_cpu / a.messages, 3),
        "serial_overhead_ms_p50": round(statistics.median(serial) - a.latency_ms, 2),
        "db_bytes_per_message": round(size / len(done), 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--serial", type=int, default=20)
    parser.add_argument("--transport", choices=("inproc", "http"), default="http")
    a = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench_langgraph_", dir=Path.cwd()))
    server, url = fake_model.start_server(a.latency_ms / 1000) if a.transport == "http" else (None, "")
    try:
        print(json.dumps(asyncio.run(run(a, folder, url))))
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
