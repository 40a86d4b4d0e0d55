"""`fleet chat`: from a pipe, line by line; at a terminal, with replies as they come."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import subprocess
import time

from support.claude import KEY
from support.commands import COMMAND, environment, refused, run
from support.fleets import check_exactly_once
from support.messages_server import MessagesServer, Reply, text, tool_use

from fleet.cli.writing import Writing
from fleet.ledger.events import MessageAccepted
from fleet.runtime.home import Home
from fleet.workers.partials import Partial


def test_each_piped_line_is_answered_before_the_next_and_commands_are_no_messages(tmp_path):
    lines = ("/why", "I need to move my Thursday shift to another day.", "", "Friday is better", "/threads", "/why",
             "/why no such thing", "/nonsense", "/help", "/quit", "never sent")  # fmt: skip
    done = run("chat", "--user", "ana", "--home", tmp_path, given="\n".join(lines).encode())
    assert done.returncode == 0
    shown = (
        "offline:router routing",
        "→ new thread thr_",
        "Which day would suit you instead?",
        "→ continues thr_",
        "Shall I submit this request",
        "need_input         2",
        '"Friday is better"',
        "/threads      what you",
    )
    places = [done.stdout.index(words) for words in shown]
    assert places == sorted(places)
    assert done.stderr.splitlines() == [
        "fleet: you have not written anything yet; /why ID asks about an earlier message",
        "fleet: /why takes one message id, or none for your last message",
        "fleet: there is no command /nonsense; /help lists them",
    ]
    with Home(tmp_path).read_ledger() as ledger:
        events = list(ledger.read())
    check_exactly_once(events)
    assert [each.event.text for each in events if isinstance(each.event, MessageAccepted)] == [lines[1], lines[3]]


def test_a_line_that_is_refused_does_not_end_the_talk(tmp_path):
    given = b"\xff\xfe\n" + b"x" * 70_000 + b"\nWhen is the next payday?\n"
    done = run("chat", "--user", "ana", "--home", tmp_path, given=given)
    assert done.returncode == 0
    assert "not valid Unicode" in done.stderr
    assert "at most 65536" in done.stderr
    assert "The next payday is" in done.stdout


def test_a_user_that_is_no_plain_line_is_refused_before_a_home_is_made(tmp_path):
    assert "user" in refused(run("chat", "--user", " ana", "--home", tmp_path / "home"))
    assert not (tmp_path / "home").exists()


class _Terminal:
    """A chat at a pseudo-terminal of its own."""

    def __init__(self, *arguments, **variables):
        self.near, far = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdin=far, stdout=far, stderr=far,
            env=environment(TERM="xterm", **variables),
        )  # fmt: skip
        os.close(far)
        self.shown = ""

    def type(self, line):
        os.write(self.near, f"{line}\r".encode())

    def read_until(self, words, seconds=60):
        """Everything shown up to now, once it holds `words`; terminal codes left out."""
        end = time.monotonic() + seconds
        while words not in self.shown:
            assert select.select([self.near], [], [], max(0, end - time.monotonic()))[0], self.shown
            try:
                given = os.read(self.near, 65536).decode("utf-8", "replace")
            except OSError:  # Linux: the other end is closed
                given = ""
            assert given, f"it ended: {self.shown}"
            if "\x1b[6n" in given:  # it asks where the cursor is
                os.write(self.near, b"\x1b[1;1R")
            self.shown += re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07|[=>])", "", given)
        at = self.shown.index(words) + len(words)
        before, self.shown = self.shown[:at], self.shown[at:]
        return before

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.near)


def test_at_a_terminal_replies_come_above_the_prompt_and_the_history_is_kept(tmp_path):
    terminal = _Terminal("chat", "--user", "ana", "--home", tmp_path)
    try:
        terminal.read_until("ana>")
        terminal.type("When is the next payday?")
        told = terminal.read_until("The next payday is")
        assert "new thread thr_" in told
        assert "with information_retriever" in told
        terminal.type("/why")
        assert "Where it went" in terminal.read_until("Cost and versions")
        terminal.type("/quit")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.close()
    assert "+When is the next payday?" in (tmp_path / "chat_history").read_text()


async def test_at_a_terminal_a_reply_is_seen_while_it_is_written_and_nothing_in_it_acts(tmp_path):
    go_on = asyncio.Event()
    async with MessagesServer() as server:
        terminal = _Terminal(
            "chat", "--user", "ana", "--home", tmp_path, FLEET_ROUTER_MODEL="offline:router",
            FLEET_WORKER_MODEL="anthropic:claude-test", ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=server.url,
        )  # fmt: skip
        try:
            await asyncio.to_thread(terminal.read_until, "ana>")
            server.script(text("A\x1b[31mB\u202eC, I was saying, is what you asked about.", go_on=go_on))
            terminal.type("When is the next payday?")
            await asyncio.to_thread(terminal.read_until, "is writing:")
            await asyncio.to_thread(terminal.read_until, r"A\u001b[31mB\u202eC, ")
            assert "I was saying" not in terminal.shown
            go_on.set()
            await asyncio.to_thread(terminal.read_until, r"A\u001b[31mB\u202eC, I was saying, is what you asked about.")
            call = tool_use("search_documents", {"query": "payday"}).content[0]
            server.script(Reply(content=[{"type": "text", "text": "Wait."}, call], go_on=go_on), text("On the 28th."))
            terminal.type("And after that one?")
            await asyncio.to_thread(terminal.read_until, "On the 28th.")
            terminal.type("/quit")
            assert await asyncio.to_thread(terminal.process.wait, 60) == 0
        finally:
            terminal.close()
        assert [seen.json.get("stream", False) for seen in server.requests] == [True] * 3


def test_what_is_written_is_shown_by_reply_until_it_is_on_record_and_anew_after_a_reset():
    shown = []
    writing = Writing(shown.append)

    def piece(at, text, reply_id="rep_1.1"):
        writing.hear(Partial(reply_id, "ana", "thr_1", "helper", (), at, text))
        return shown[-1]

    assert piece(0, "one") == "  helper is writing:\n    one"
    assert piece(3, "\ntwo\t\x1b[2J") == "  helper is writing:\n    one\n    two \\u001b[2J"
    assert piece(0, "") == ""
    assert piece(0, "three") == "  helper is writing, once more:\n    three"
    long = piece(5, "x" * 95 + "y" * 100 + "\n" * 20 + "end")
    assert long.splitlines()[1:] == ["    "] * 7 + ["    end"]
    assert piece(0, "other", "rep_2.1").endswith("  helper is writing:\n    other")
    writing.ended("rep_1.1")
    assert shown[-1] == "  helper is writing:\n    other"
    assert piece(0, "again").startswith("  helper is writing:\n    other\n  helper is writing:\n    again")
