"""The guide's free functions with nothing but a docstring: each returns None."""

from __future__ import annotations


def send_dialog_message(body, media=None):
    """Hand a reply to the user's channel."""


def search_documents(query: str):
    """Search the documents."""


def lookup_account_state(what: str = ""):
    """Look up the state of the account."""


def find_availability(day: str):
    """Find who is available on a day."""


def propose_time_change(day: str, new_day: str):
    """Propose a change."""


def submit_request(day: str, new_day: str):
    """Submit the request."""


def read_preferences():
    """Read the preferences."""


def update_preferences(name: str, value: str):
    """Update a preference."""


def draft_options(topic: str):
    """Draft options."""


def summarize_tradeoffs(options: list[str]):
    """Summarize trade-offs."""


def recent_threads(count=5):
    """The user's recent threads."""


def start_new_thread(
    agent: str,
    language: str,
    name: str | None = None,
    default_example_id: int | None = None,
) -> None:
    """Create a thread, create the delegated worker job, and bind them."""


def dispatch_to(thread) -> None:
    """Append the incoming message to an existing thread and wake its job."""
