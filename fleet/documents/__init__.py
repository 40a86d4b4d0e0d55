"""Documents of a home: Markdown and text, searched with SQLite's full-text index, and a ready tool to do so.

from fleet.documents import search_documents

DialogAgent(role="handbook", description="Answers from the handbook", tools=[search_documents])
"""

from fleet.documents.retriever import search_documents

__all__ = ["search_documents"]
