"""The tool that searches a home's documents."""

from __future__ import annotations

import logging

from fleet.agents.context import ToolContext
from fleet.agents.tool import tool
from fleet.documents.store import Documents
from fleet.errors import HomeError, ToolError
from fleet.log import log

__all__ = ["search_documents"]


@tool(effect="read")
def search_documents(query: str, context: ToolContext) -> list[dict[str, str]]:
    """Search the documents for passages that answer a question.

    Args:
        query: the question, or the words to look for
    """
    documents = Documents(context.home)
    if not documents.there:
        raise ToolError("there are no documents yet")
    try:
        return [found.as_dict() for found in documents.search(query)]
    except HomeError as error:
        log("documents.unreadable", level=logging.ERROR, error=error.message)
        raise ToolError("the documents cannot be read just now") from None
