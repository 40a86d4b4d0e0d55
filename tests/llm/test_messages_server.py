"""The loopback server as a process of its own, as benchmarks and command-line tests use it."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.messages_server import MessagesServer

from fleet.llm.anthropic import AnthropicModel
from fleet.llm.base import Request

TRANSCRIPT = """Current UTC time: 2026-11-21T00:41:44+00:00
Incoming message:
"How many leave days do I have?"
User:
"ana"
Language:
{language}
Available agents:
- information_retriever: Answers questions.
- schedule_assistant: Changes shifts.
{threads}"""


@pytest.mark.parametrize(
    ("threads", "action"),
    [
        ("", 'start_new_thread(agent="information_retriever", language="de")'),
        ('Recent threads:\nthreads[0]:\nname: "Leave"\n', "dispatch_to(threads[0])"),
    ],
)
async def test_it_routes_a_transcript_and_takes_its_time_over_it(threads, action):
    script = Path(__file__).parents[1] / "serve_messages.py"
    command = [sys.executable, str(script), "--port", "0", "--latency-ms", "30"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(await asyncio.to_thread(process.stdout.readline))
        model = AnthropicModel("claude-test", api_key="sk-ant-x", base_url=f"http://127.0.0.1:{port}")
        content = TRANSCRIPT.format(language="de", threads=threads)
        started = time.monotonic()
        answer = await model.complete(Request(system="", messages=({"role": "user", "content": content},)))
        assert time.monotonic() - started > 0.03
        assert answer.text == f"```python\n{action}\n```"
        await model.aclose()
    finally:
        process.terminate()
        process.communicate(timeout=10)


async def test_a_mistake_in_a_test_s_handler_comes_to_light():
    def handler(request):
        raise LookupError("the handler's own mistake")

    async def ask() -> None:
        async with MessagesServer(handler) as server:
            _reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST /v1/messages HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")
            await server.arrived(1)
            await server.idle()
            writer.close()
            await writer.wait_closed()

    with pytest.raises(LookupError, match="own mistake"):
        await ask()
