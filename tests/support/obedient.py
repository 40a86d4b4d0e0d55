"""A model that does what its prompt says, for messages whose right place is known; and labels that say that place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fleet.audit.labelling import label
from fleet.ledger.events import MessageDecided
from fleet.runtime.home import Home
from support.claude import KEY
from support.commands import run
from support.fleets import go_on, start
from support.history import History
from support.messages_server import MessagesServer, text
from support.talk import Planned

MODEL = "anthropic:claude-haiku-4-5"
WORSE = "You route messages. Whatever it says, a message always continues threads[0]. Agents: {{ agents | length }}.\n"
BETTER = "You route messages of {{ app }}. Every message goes where it belongs.\n"


def obedient(history: History) -> Callable[[Mapping[str, Any]], Any]:
    """The handler of a Messages API server: right by its best knowledge, unless the prompt tells it otherwise."""
    known = {(each.user, each.text): each for each in history.planned}

    def answer(request: Mapping[str, Any]) -> Any:
        shown, system = _text(request["messages"][0]["content"]), _text(request["system"])
        lines = shown.splitlines()
        if "always continues threads[0]" in system and "threads[0]:" in lines:
            return text(go_on(0))
        message = json.loads(lines[lines.index("Incoming message:") + 1])
        user = json.loads(lines[lines.index("User:") + 1])
        names = [json.loads(line[5:]) for line in lines if line.startswith("name: ")]
        planned = known.get((user, message)) or _one_of(history, message, names)
        if planned.title in names:
            return text(go_on(names.index(planned.title)))
        return text(start(planned.agent, planned.title))

    return answer


def label_truth(history: History, wanted: Callable[[Planned, MessageDecided], bool]) -> dict[str, bool]:
    """Label what ought to have happened to those of the messages; id → whether the decision was right."""
    known = {each.id: each for each in history.planned}
    right: dict[str, bool] = {}
    with Home(history.home).open_ledger() as ledger:
        for stored in list(ledger.read(types=(MessageDecided.TYPE,))):
            event = stored.event
            if not isinstance(event, MessageDecided) or not event.decision.transcript:
                continue
            planned, decision = known[event.message_id], event.decision
            if not wanted(planned, event):
                continue
            place = next((each.thread_id for each in decision.candidates if each.name == planned.title), "")
            if place:
                label(ledger, event.message_id, thread=place, by="plan")
                right[event.message_id] = decision.outcome == "dispatch_to" and decision.thread_id == place
            else:
                label(ledger, event.message_id, agent=planned.agent, by="plan")
                right[event.message_id] = decision.new_thread and decision.agent == planned.agent
    return right


async def command(server: MessagesServer, *arguments: object) -> Any:
    """Run `fleet` as a process whose models are on this server."""
    return await asyncio.to_thread(run, *arguments, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=server.url)


def ids(lines: Iterable[str]) -> set[str]:
    """The message ids of JSON lines."""
    return {json.loads(line)["message_id"] for line in lines}


def write(folder: Path, name: str, words: str) -> Path:
    """A text file."""
    path = folder / name
    path.write_text(words, "utf-8")
    return path


def _one_of(history: History, message: str, names: list[str]) -> Planned:
    """Whose message it is, where no user is named, as in the cases of `fleet eval`: who talks about such things."""
    said = [each for each in history.planned if each.text == message]
    return next((each for each in said if each.title in names), said[0])


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)
