"""The fake model of the routing benchmarks, in a process of its own; standard library only: any peer can use it.

Routes are chosen from the printed transcript alone: three of four messages continue a printed thread.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys


def answer(transcript: str) -> str:
    """The fake router, chosen from what is printed alone: 3 of 4 continue a printed thread, else a new one."""
    found = re.search(r"MSG (\d+)", transcript)
    k = int(found.group(1)) if found else 0
    n = len(re.findall(r"^threads\[\d+\]:", transcript, re.M))
    if n and k % 4:
        return f"```python\n# continuation\ndispatch_to(threads[{k % n}])\n```"
    return (
        '```python\n# fresh request\nstart_new_thread(\n    agent="information_retriever",\n    language="en",\n'
        f'    name="Thread {k}",\n    default_example_id=1,\n)\n```'
    )


def start_server(latency_s: float) -> tuple[subprocess.Popen[str], str]:
    """A Messages API on loopback in its own process; the process and its URL."""
    server = subprocess.Popen([sys.executable, __file__, "--serve", str(latency_s)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, f"http://127.0.0.1:{int(server.stdout.readline())}"


def serve(latency_s: float) -> None:
    """Answer POST /v1/messages after `latency_s`, keep-alive, as little work a call as possible."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: *(\d+)", head, re.I)
                body = json.loads(await reader.readexactly(int(length.group(1)))) if length else {}
                if latency_s:
                    await asyncio.sleep(latency_s)
                said = "Done."
                if "router" in body["model"]:
                    content = body["messages"][0]["content"]
                    said = answer(content if isinstance(content, str) else content[0]["text"])
                data = json.dumps(
                    {
                        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
                        "content": [{"type": "text", "text": said}], "stop_reason": "end_turn", "stop_sequence": None,
                        "usage": {"input_tokens": 900, "output_tokens": 30},
                    }
                ).encode()  # fmt: skip
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data)
                )
                writer.write(data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=512)
        print(server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await server.serve_forever()

    asyncio.run(main())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", type=float, required=True)
    serve(parser.parse_args().serve)
