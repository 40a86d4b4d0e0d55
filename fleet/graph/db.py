"""The only door to dbzero: durable classes, one open database per process, commit, and a digest of what it holds.

dbzero is one per process; so is a `Database`. All use is from one thread. After `close` no durable object of it may
be touched: dbzero would end the process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, TypeVar, overload

import dbzero

from fleet.errors import ConfigError, GraphError, HomeBusyError

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: dbzero itself refuses a second opener there
    fcntl = None

__all__ = ["Database", "Db0", "db0", "memo", "plain_of"]

C = TypeVar("C", bound=type)
T = TypeVar("T")
_PREFIX = "graph"
_COMMIT_BYTES, _EVENT_BYTES = 8 << 20, 1 << 10  # more than was ever measured for a commit, and for each event in it
_NOT_COMMITTED = 74  # exit code
_HASHED_AT_ONCE = 1000  # values
_PLAIN = (str, int, float, bool, type(None))
_CACHE_BYTES = 64 << 20  # keeps memory flat: measured, with a million threads too


@overload
def memo(cls: C, /) -> C: ...
@overload
def memo(*, id: str | None = None, singleton: bool = False) -> Callable[[C], C]: ...
def memo(cls: C | None = None, /, *, id: str | None = None, singleton: bool = False) -> C | Callable[[C], C]:  # noqa: A002
    """Make a class durable: its instances live in the graph once a reducer puts them there.

    `id` is the class's name in the file, for ever: give one, such as "shop/Order", so that a rename stays a rename.
    Fields hold str, int (64 bit), float, bool, None, bytes, dict, list, tuple and durable objects; a field that is
    added later needs a class-level default.

    Two kinds of class are declarations, not state, and stay ordinary Python: subclasses of the agents and the
    dispatcher, and an application's singleton root without an id. The first becomes whatever code declares and is
    mirrored into the durable root at start; the second is made once per process.
    Raises: ConfigError for a durable class without an id.
    """

    def wrap(found: C) -> C:
        if getattr(found, "__fleet_declaration__", False):
            return found
        if singleton and id is None:
            return _declared_once(found)
        if not id:
            raise ConfigError(f'@memo class {found.__qualname__} needs an id, such as id="app/{found.__name__}"')
        durable: C = dbzero.memo(id=id, singleton=singleton)(found)
        return durable

    return wrap if cls is None else wrap(cls)


def plain_of(durable: type[T]) -> type[T]:
    """The ordinary class that a durable class was made from: the same fields and code, kept in memory alone.

    No database has to be open for its objects. Measured on dbzero 0.7.0: `memo` derives the durable class from it.
    """
    plain: type[T] = durable.__mro__[1]
    return plain


def _declared_once(cls: C) -> C:
    """The class with one instance per process: building it again gives the first one."""
    build = vars(cls).get("__init__", object.__init__)
    made: dict[str, Any] = {}

    def new(kind: type, *_: Any, **__: Any) -> Any:
        if "it" not in made:
            made["it"] = object.__new__(kind)
        return made["it"]

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if "built" not in made:
            build(self, *args, **kwargs)
            made["built"] = True

    cls.__new__ = new  # type: ignore[method-assign,assignment]
    cls.__init__ = init  # type: ignore[misc]
    return cls


class Db0:
    """The names of dbzero that an application declares with: `from fleet import db0`, then `@db0.memo(…)`."""

    memo = staticmethod(memo)


db0 = Db0()


class Database:
    """The open graph file of one home. Open one at a time; use it from one thread.

    Raises: HomeBusyError if another process has it open; GraphError if the file cannot be opened.
    """

    _open: Database | None = None

    folder: Path

    def __init__(self, folder: Path) -> None:
        if Database._open is not None:
            raise GraphError(f"this process has the graph {Database._open.folder} open; it can open one at a time")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):  # dbzero would end the process
            raise GraphError(f"the graph folder {folder} is not writable")
        self.folder = folder
        try:
            dbzero.init(str(folder), autocommit=False, cache_size=_CACHE_BYTES)
            dbzero.open(_PREFIX, "rw", autocommit=False)
        except Exception as error:
            dbzero.close()
            if "lock" in str(error):
                raise HomeBusyError(f"the graph {folder} is open in another process") from None
            raise GraphError(f"the graph {folder} cannot be opened: {error}") from None
        Database._open = self

    @staticmethod
    def check_free(folder: Path) -> None:
        """Raises: HomeBusyError if another process has the graph of `folder` open, found out without opening it."""
        if fcntl is None or Database._open is not None:  # to close the lock's file would give up a lock of one's own
            return
        try:
            with (folder / f"{_PREFIX}.db0.lock").open("r+b") as lock:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # what dbzero locks
        except FileNotFoundError:
            return
        except OSError:
            raise HomeBusyError(f"the graph {folder} is open in another process") from None

    @staticmethod
    def file(folder: Path) -> Path:
        """Where the graph of `folder` is kept."""
        return folder / f"{_PREFIX}.db0"

    def commit(self) -> None:
        """Make everything applied so far durable. A commit that fails ends the process.

        After a failed commit dbzero reports the next one as a success without saving: going on would lose state that
        the ledger can rebuild. So it ends here, at once, and the next start replays.
        """
        try:
            dbzero.commit(_PREFIX)
        except Exception as error:
            self.abandon(str(error))

    def fits(self, events: int) -> bool:
        """Whether the disk has room for a commit of so many events; one that runs out of it half-way would fail."""
        return shutil.disk_usage(self.folder).free >= _COMMIT_BYTES + events * _EVENT_BYTES

    def abandon(self, why: str) -> NoReturn:
        """End the process at once, with exit code 74 and one line, without writing what is not committed.

        That is in the ledger: the next start replays it. To close the database would commit it.
        """
        why = " ".join(why.split())
        sys.stderr.write(f"fleet: the graph could not be committed ({why}); nothing is lost, the next start replays\n")
        sys.stderr.flush()
        os._exit(_NOT_COMMITTED)

    def close(self) -> None:
        """Commit what is applied, and let the file go."""
        if Database._open is self:
            Database._open = None
            dbzero.close()

    @staticmethod
    def digest(root: Any) -> str:
        """A sha256 over everything reachable from `root`, by value: two graphs of the same events have the same one.

        Dicts count in key order, objects by class and fields; an object met again counts as the number of its first
        meeting; fields that are None, and those that begin with an underscore, do not count. An object whose class has
        `counted()` counts as the bytes that it yields.
        """
        total = hashlib.sha256()
        tokens = _tokens(root)
        while many := list(islice(tokens, _HASHED_AT_ONCE)):
            total.update(b"".join([part for token in many for part in (len(token).to_bytes(8, "big"), token)]))
        return total.hexdigest()


def _names(kind: type) -> tuple[str, ...]:
    """Every field that objects of a durable class have so far, sorted; class-level defaults count by annotation."""
    names = {name for name, _ in dbzero.get_attributes(kind)}
    names |= {name for base in kind.__mro__ for name in vars(base).get("__annotations__", {})}
    return tuple(sorted(names))


def _tokens(root: Any) -> Iterator[bytes]:
    met: dict[str, int] = {}
    names: dict[type, list[str]] = {}
    stack: list[Any] = [root]
    kinds = (type(dbzero.dict()), type(dbzero.list()), type(dbzero.tuple(())))
    while stack:
        value = stack.pop()
        if type(value) in _PLAIN:
            yield f"{type(value).__name__}:{value!r}".encode("utf-8", "surrogatepass")
        elif type(value) is bytes:
            yield b"bytes:" + value
        elif isinstance(value, (dict, kinds[0])):
            keys = sorted(value.keys())
            yield f"dict:{len(keys)}".encode()
            for key in reversed(keys):
                stack += (value[key], key)
        elif isinstance(value, (list, tuple, kinds[1], kinds[2])):
            yield f"list:{len(value)}".encode()
            stack.extend(reversed(list(value)))
        elif dbzero.is_memo(value):
            uuid = dbzero.uuid(value)
            if uuid in met:
                yield f"met:{met[uuid]}".encode()
                continue
            met[uuid] = len(met)
            kind = type(value)
            if (counted := getattr(kind, "counted", None)) is not None:
                yield from counted(value)
                continue
            if kind not in names:
                names[kind] = [name for name in reversed(_names(kind)) if not name.startswith("_")]
            yield f"memo:{kind.__name__}".encode()
            for name in names[kind]:
                if (field := getattr(value, name, None)) is not None:
                    stack += (field, name)
        else:
            raise GraphError(f"a {type(value).__name__} has no place in the graph")
