"""The loopback Messages API as a process: prints its port, serves until it is ended.

python tests/serve_messages.py --port 0 --latency-ms 50
"""

import argparse
import asyncio
import contextlib

from support.messages_server import MessagesServer


async def serve(port: int, latency_s: float) -> None:
    async with MessagesServer(port=port, latency_s=latency_s, keep=1) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Speak the Messages API on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="before every answer")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.port, given.latency_ms / 1000))
