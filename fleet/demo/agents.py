"""The demo's four agents and its dispatcher: a small company's help desk."""

from __future__ import annotations

from pathlib import Path

from fleet import Agent, App, DialogAgent, MessageDispatcher, Reply, SupervisedAgent
from fleet.demo.account import lookup_account_state
from fleet.demo.documents import search_documents
from fleet.demo.options import draft_options, summarize_tradeoffs
from fleet.demo.preferences import read_preferences, update_preferences
from fleet.demo.schedule import find_availability, propose_time_change, submit_request

__all__ = ["AppDispatcher", "app"]


class AppDispatcher(MessageDispatcher):
    """Routes the help desk's messages with the warmup and the prompt that ship with it."""


def send_dialog_message(reply: Reply) -> None:
    """Take a reply and do nothing: the demo's readers find every reply in the ledger."""


def _agents() -> list[Agent]:
    return [
        DialogAgent(
            role="information_retriever",
            send_message=send_dialog_message,
            tools=[search_documents, lookup_account_state],
            description="Answers questions and looks things up: rules in the company handbook, and the person's own "
            "schedule, leave balance, requests and payday. Changes nothing.",
            capabilities=[
                "search the handbook on leave, sick days, shifts, expenses, travel, remote work, payroll and IT",
                "look up my schedule, my days of leave, my requests, the next payday",
            ],
        ),
        DialogAgent(
            role="schedule_assistant",
            send_message=send_dialog_message,
            tools=[find_availability, propose_time_change, submit_request],
            description="Plans and requests changes of shifts: moves, swaps or reschedules a shift to another day, "
            "and says which days are free.",
            capabilities=["move, swap or change a shift", "find free days", "submit a request after a yes"],
        ),
        DialogAgent(
            role="preferences_assistant",
            send_message=send_dialog_message,
            tools=[read_preferences, update_preferences],
            description="Shows and updates personal preferences and settings: how and when reminders and "
            "notifications arrive, preferred shift, news digest.",
            capabilities=[
                "read preferences",
                "change reminders to email, SMS or app",
                "set the digest or preferred shift",
            ],
        ),
        SupervisedAgent(
            role="sounding_board",
            tools=[draft_options, summarize_tradeoffs],
            description="Thinks a decision through in the background: drafts options and weighs their pros, cons "
            "and trade-offs.",
            capabilities=["help me decide or think through whether to do this or that", "compare options"],
        ),
    ]


def _data() -> Path:
    """The folder with prompts/, warmup/ and examples_db/: in a wheel fleet/_shipped, in a checkout the top."""
    package = Path(__file__).parents[1]
    shipped = package / "_shipped"
    return shipped if shipped.is_dir() else package.parent


app = App(name="fleet.demo", agents=_agents(), dispatcher=AppDispatcher(), data=_data())
