"""Cases made of others, so that more than "I want to find …" opens a thread.

In the task dialogues a request opens a thread and a question carries one on; in most applications both do both.
`as_question` says an opening's subject in another form; `beside` puts a room's talk beside task dialogues, as if a
help desk were one of the agents.
"""

from __future__ import annotations

import random
import re
from dataclasses import replace
from datetime import datetime

from fleet.llm.offline.printed import Printed, PrintedAgent

_SUBJECT = re.compile(
    r"\b(?:looking for|look for|find(?: me)?|search(?:ing)?(?: for)?|need|want|like|interested in|"
    r"get(?: me)?|book|show me|"
    r"reserve|buy|check|see|help(?: me)?(?: with)?|watch|play|rent|visit)\s+(?:to (?:find|book|get|see|"
    r"buy|reserve|watch|check|rent|"
    r"search for|look for|make|go to|visit|know|play|listen to|\w+)\s+)?(?:for |me |out )?((?:[\w'-]+ ?){1,9})",
    re.IGNORECASE,
)
_FORMS = (
    "How do I get {x}?", "Where can I find {x}?", "Is there {x}?", "Do you have {x}?",
    "What is the best way to get {x}?",
    "How much does {x} cost?", "How much may {x} cost when I pay for it myself?", "When is {x}?", "When can I get {x}?",
    "What about {x}?", "Who takes care of {x}?", "Which {x} do we have?", "How many {x} are there?",
    "What does {x} look like?",
    "What is the status of {x}?", "Can I still change {x}?", "{x} does not work", "There is a problem with {x}",
    "I have a question about {x}", "Tell me about {x}", "We have to sort out {x} before the weekend",
    "I can't find {x}",
    "I think {x} is wrong", "Please take care of {x}", "How long before must I ask for {x}?", "Am I allowed {x}?",
    "Help me think about {x}", "Why is {x} so late?", "Did {x} arrive?", "When is the next {x}?",
    "What are the rules for {x}?",
    "How many days of {x} do I get?", "Who do I ask about {x}?", "I lost {x}", "My {x} is gone, what do I do?", "{x}",
    "How do people usually do {x}?", "Somebody told me about {x}, how does that work?", "It would be good to have {x}",
)  # fmt: skip
_DESKS = (
    ("linux_desk", "Answers questions about Ubuntu: installing it, drivers, packages, networks and disks"),
    ("it_support", "Helps with computers that do not do what they should"),
    ("computer_help", "Software and hardware questions, wireless cards, graphics, sound and printers"),
    ("support", "Technical support for the operating system and its programs"),
    ("admin_on_duty", "Looks after servers, accounts, updates and the command line"),
)
_CAPABILITIES = (
    "Explain an error message", "Install or remove a package", "Get wifi or sound to work", "Find a program for a task",
    "Repair a boot problem", "Mount a disk", "Answer a question about a command",
)  # fmt: skip
_MOST = 5


def as_question(printed: Printed, rng: random.Random) -> Printed | None:
    """The same opening in another form; None where no subject is found."""
    found = _SUBJECT.search(printed.message)
    if found is None:
        return None
    subject = found[1].strip()
    if len(subject) < 3:
        return None
    said = rng.choice(_FORMS).format(x=subject)
    return replace(printed, message=said[0].upper() + said[1:] if rng.random() < 0.8 else said.lower())


def beside(
    room: Printed, room_gold: int, task: Printed, task_gold: int, rng: random.Random
) -> tuple[Printed, int] | None:
    """One case of both; the message is the room's or the task's. None where the right thread would not be shown."""
    if room.now is None or task.now is None:
        return None
    role, description = rng.choice(_DESKS)
    if rng.random() < 0.3:
        role = "".join(rng.choice("abcdefghilmnoprstu") for _ in range(6))
    desk = PrintedAgent(role, description, tuple(rng.sample(_CAPABILITIES, rng.choice([0, 2, 3]))))
    shift = task.now - room.now
    of_room = [
        (at, replace(each, agent=role, summary=_told(each.summary),
                     last_assistant_message=_plain(each.last_assistant_message),
                     latest_activity=(each.latest_activity or room.now) + shift))
        for at, each in enumerate(room.threads)
    ]  # fmt: skip
    of_task = [(at, each) for at, each in enumerate(task.threads)]
    from_room = rng.random() < 0.6
    kept = rng.sample(of_room, min(len(of_room), rng.choice([0, 1, 2, 3])) if not from_room else len(of_room))
    others = of_task if not from_room else rng.sample(of_task, min(len(of_task), rng.choice([1, 2, 3])))
    marked = [(True, *each) for each in kept] + [(False, *each) for each in others]
    marked.sort(key=lambda each: each[2].latest_activity or datetime.max.replace(tzinfo=task.now.tzinfo), reverse=True)
    marked = marked[:_MOST]
    agents = [*task.agents, desk]
    rng.shuffle(agents)
    threads = tuple(replace(each, index=at) for at, (_, _, each) in enumerate(marked))
    whole = Printed(_plain(room.message) if from_room else task.message, task.now, "en", tuple(agents), threads)
    gold, source = (room_gold, room) if from_room else (task_gold, task)
    if gold < len(source.threads):
        place = next((at for at, each in enumerate(marked) if each[0] == from_room and each[1] == gold), None)
        return None if place is None else (whole, place)
    wanted = role if from_room else task.agents[gold - len(task.threads)].role
    return whole, len(threads) + [each.role for each in agents].index(wanted)


def _told(summary: str) -> str:
    return _plain(summary.replace("Other: ", "Agent: "))


def _plain(text: str) -> str:
    return re.sub(r"@user\b[:,]?\s*", "", text).strip()
