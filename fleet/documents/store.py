"""The documents of one home: a SQLite file beside the ledger, with a full-text index (FTS5) over their sections.

It is no part of the history: what a search gave an agent is in the ledger as that call's result, and the file can be
made again from the documents at any time.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fleet.clock import now_us
from fleet.documents.sections import MARKDOWN, read_sections, title_of
from fleet.errors import HomeError, InputError

__all__ = ["Added", "Document", "Documents", "Found", "Source", "read_source"]

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE documents (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, source TEXT NOT NULL, title TEXT NOT NULL, hash TEXT NOT NULL,
    sections INTEGER NOT NULL, added_at INTEGER NOT NULL
) STRICT;
CREATE VIRTUAL TABLE passages USING fts5(
    title, heading, body, document UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2'
);
PRAGMA user_version = {_VERSION};
"""
_ENDINGS = (*MARKDOWN, ".txt")
_LARGEST = 20 * 1024 * 1024  # bytes of a file
_WAIT_S = 30.0
_WORD = re.compile(r"\w+")
_MOST_TERMS = 40
# bm25 gives next to nothing for words that half of all sections have; in a few sections every word is one of those.
_MEANT, _FEW = -0.01, 20


@dataclass(frozen=True)
class Source:
    """A file to add: the name it gets, where it lies, its text."""

    name: str
    path: Path
    text: str


@dataclass(frozen=True)
class Document:
    """One document. `added_at` is in microseconds since 1970 UTC."""

    name: str
    title: str
    sections: int
    source: str
    added_at: int


@dataclass(frozen=True)
class Added:
    """What adding a file came to; `what` is added, replaced or unchanged."""

    name: str
    what: str
    sections: int


@dataclass(frozen=True)
class Found:
    """A passage: its text, its document's title and name, the headings that it stands under."""

    text: str
    title: str
    section: str
    document: str

    def as_dict(self) -> dict[str, str]:
        """As a tool gives it to a model."""
        return asdict(self)


def read_source(path: Path) -> list[Source]:
    """The files that a path names: one file, or every Markdown and text file of a folder, in order.

    Their names begin with the path's last part. Hidden files and folders are left out.
    Raises: InputError for a path that is not there or has no such file, a file that is no UTF-8 text, or too large.
    """
    path = path.resolve()
    if not path.is_dir():
        return [_read(path, path.name)]
    found = (each.relative_to(path) for each in sorted(path.rglob("*")) if each.is_file())
    names = [each for each in found if each.name.endswith(_ENDINGS) and not any(p.startswith(".") for p in each.parts)]
    if not names:
        raise InputError(f"{path}: no file in it ends in {', '.join(_ENDINGS)}")
    return [_read(path / each, f"{path.name}/{each.as_posix()}") for each in names]


class Documents:
    """The documents of a home. Nothing is opened, or made, before it is needed; each call opens the file for itself."""

    def __init__(self, home: Path) -> None:
        self._file = home / "documents.db"

    @property
    def there(self) -> bool:
        """Whether any document was ever added."""
        return self._file.is_file() and self._file.stat().st_size > 0  # SQLite makes it empty, then writes

    def add(self, sources: Sequence[Source]) -> list[Added]:
        """Add these, or replace those of the same name and file; all of them, or none.

        Raises: InputError if a name is taken by another file; HomeError if the file cannot be written.
        """
        with self._open(writing=True, new=True) as file:
            return [self._put(file, source) for source in sources]

    def remove(self, names: Sequence[str]) -> list[str]:
        """Take documents out, by their names or their folder's; gives the names. Raises: InputError for one unknown."""
        gone: list[str] = []
        if self.there:
            with self._open(writing=True) as file:
                known = [str(name) for (name,) in file.execute("SELECT name FROM documents ORDER BY name")]
                for given in dict.fromkeys(names):
                    named = [name for name in known if name == given or name.startswith(given.rstrip("/") + "/")]
                    if not named:
                        raise _unknown(given)
                    gone += (name for name in named if name not in gone)
                for name in gone:
                    _delete(file, name)
        elif names:
            raise _unknown(names[0])
        return gone

    def all(self) -> list[Document]:
        """Every document, by name."""
        if not self.there:
            return []
        with self._open() as file:
            rows = file.execute("SELECT name, title, sections, source, added_at FROM documents ORDER BY name")
            return [Document(*row) for row in rows]

    def search(self, query: str, limit: int = 5) -> list[Found]:
        """The passages that fit a question best; any of its words may stand in them, rare words count most."""
        terms = list({word.lower(): word for word in _WORD.findall(query)}.values())[:_MOST_TERMS]
        if not terms or not self.there:
            return []
        with self._open() as file:
            rows = file.execute(
                "SELECT body, passages.title, heading, name, bm25(passages, 3.0, 4.0, 1.0) AS score FROM passages"
                " JOIN documents ON documents.id = document WHERE passages MATCH ?"
                " ORDER BY score, passages.rowid LIMIT ?",
                (" OR ".join(f'"{term}"' for term in terms), limit),
            ).fetchall()
            few = file.execute("SELECT coalesce(sum(sections), 0) FROM documents").fetchone()[0] < _FEW
        return [Found(*row[:4]) for row in rows if few or row[4] < _MEANT]

    def _put(self, file: sqlite3.Connection, source: Source) -> Added:
        digest = hashlib.sha256(source.text.encode()).hexdigest()
        before = file.execute("SELECT source, hash, sections FROM documents WHERE name = ?", (source.name,)).fetchone()
        if before is not None and before[0] != str(source.path):
            raise InputError(
                f"{source.name} is there already, from {before[0]}; `fleet documents remove {source.name}` makes room"
            )
        if before is not None and before[1] == digest:
            return Added(source.name, "unchanged", before[2])
        if before is not None:
            _delete(file, source.name)
        title = title_of(source.name, source.text)
        found = list(read_sections(source.name, source.text))
        row = (source.name, str(source.path), title, digest, len(found), now_us())
        number = file.execute(
            "INSERT INTO documents (name, source, title, hash, sections, added_at) VALUES (?, ?, ?, ?, ?, ?)", row
        ).lastrowid
        file.executemany(
            "INSERT INTO passages (title, heading, body, document) VALUES (?, ?, ?, ?)",
            ((title, each.heading, each.text, number) for each in found),
        )
        return Added(source.name, "replaced" if before is not None else "added", len(found))

    @contextmanager
    def _open(self, *, writing: bool = False, new: bool = False) -> Iterator[sqlite3.Connection]:
        """The file, to write in one transaction. Raises: HomeError in one line for what SQLite says against it.

        Readers open it for writing too: what a crash left half-written is undone by whoever comes next.
        """
        try:
            if new:
                self._file.touch(mode=0o600)
            uri = f"{self._file.absolute().as_uri()}?mode=rw"
            with closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None)) as file:
                version = file.execute("PRAGMA user_version").fetchone()[0]
                if version > _VERSION:
                    raise HomeError(f"documents {self._file} were written by a newer fleet; update fleet")
                if not writing:
                    yield file
                    return
                file.execute("BEGIN IMMEDIATE")
                try:
                    if not file.execute("PRAGMA user_version").fetchone()[0]:
                        for statement in _SCHEMA.split(";\n"):
                            file.execute(statement)
                    yield file
                    file.execute("COMMIT")
                finally:
                    if file.in_transaction:
                        file.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise HomeError(f"documents {self._file}: {error}") from None
        except PermissionError as error:
            raise HomeError(f"documents {self._file}: {error.strerror}") from None


def _delete(file: sqlite3.Connection, name: str) -> None:
    file.execute("DELETE FROM passages WHERE document = (SELECT id FROM documents WHERE name = ?)", (name,))
    file.execute("DELETE FROM documents WHERE name = ?", (name,))


def _unknown(name: str) -> InputError:
    return InputError(f"there is no document {name!r}; `fleet documents list` shows them; nothing was removed")


def _read(path: Path, name: str) -> Source:
    if not path.name.endswith(_ENDINGS):
        raise InputError(f"{path}: only {', '.join(_ENDINGS)} can be added; nothing was")
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: larger than {_LARGEST // 1024 // 1024} MiB; nothing was added")
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; nothing was added") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; nothing was added") from None
    if "\0" in text:
        raise InputError(f"{path}: holds NUL characters, so it is no text; nothing was added")
    return Source(name, path, text)
