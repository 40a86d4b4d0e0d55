"""An application: the agents, the dispatcher, and the folder that holds their words."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from fleet.agents.agent import Agent, MessageDispatcher
from fleet.agents.policy import Policy
from fleet.agents.words import Words
from fleet.errors import ConfigError, FleetError

__all__ = ["App", "import_app"]


class App:
    """What `fleet worker --app MODULE:ATTR` runs.

    `data` is the folder with prompts/, warmup/ and examples_db/ (None: the built-in defaults serve);
    `gate` is a function, a `Dispatcher` or a list of them, asked in order, that may settle a message before any model
    (a `DispatchResult`, or None to pass); None: a message that names its session goes to the session's thread, `[]`:
    every message is the router's;
    `preferred_language_for(user)` gives a language code or None, `timezone_of(user)` the name of a time zone, such as
    Europe/Vienna, or None, `locale_of(user)` a BCP 47 tag such as de-AT, or None; `words` are the runtime's fixed
    sentences by locale (see `fleet.agents.words.Words`); `default_agent` is the role that gets what neither the
    router nor its fallback could place ("" : a person must); `on_result(reply)` is told what supervised agents found;
    `permissions_of(user)` gives the permissions that the user's tool calls have; `policy` limits the turns;
    `allowed_targets(message)` gives the roles that a message may go to (None: all), `user_quota` such as `20/min` how
    many messages of one user are taken; `rules` is a TOML file of channel rules; `retired_reply` is what users are told
    whose messages wait for an agent that is declared no more ("": nothing). `path` is the MODULE:ATTR that it was
    imported by, "" if it was built on the spot.
    Raises: ConfigError for no agent, or two agents of one role.
    """

    path: str = ""

    def __init__(
        self,
        *,
        name: str,
        agents: Iterable[Agent],
        dispatcher: MessageDispatcher | None = None,
        data: Path | str | None = None,
        gate: Callable[..., Any] | Iterable[Callable[..., Any]] | None = None,
        preferred_language_for: Callable[[Any], str | None] | None = None,
        timezone_of: Callable[[str], str | None] | None = None,
        locale_of: Callable[[str], str | None] | None = None,
        words: Mapping[str, Mapping[str, str]] | None = None,
        default_agent: str = "",
        on_result: Callable[..., Any] | None = None,
        allowed_targets: Callable[[Any], Iterable[str] | None] | None = None,
        user_quota: str = "",
        rules: Path | str | None = None,
        permissions_of: Callable[[str], Container[str]] | None = None,
        policy: Policy | None = None,
        retired_reply: str = "",
    ) -> None:
        self.name = name
        declared = tuple(agents)
        self.dispatcher = dispatcher or MessageDispatcher()
        if not isinstance(self.dispatcher, MessageDispatcher):
            raise ConfigError(
                f"application {name}: dispatcher is a MessageDispatcher, not {type(dispatcher).__name__}; "
                "what settles messages before the model is gate=…"
            )
        self.agents: dict[str, Agent] = {}
        for agent in declared:
            if not isinstance(agent, Agent):
                raise ConfigError(f"{agent!r} is no agent; declare a DialogAgent or SupervisedAgent")
            if self.agents.setdefault(agent.role, agent) is not agent:
                raise ConfigError(f"two agents have the role {agent.role!r}; a role is a name for one agent")
        if not self.agents:
            raise ConfigError(f"application {name} declares no agents; give it at least one DialogAgent")
        for agent in declared:
            for role in agent.may_dispatch:
                if role not in self.agents:
                    raise ConfigError(
                        f"agent {agent.role}: may_dispatch names {role!r}, which is none of {', '.join(self.agents)}"
                    )
        if default_agent and default_agent not in self.agents:
            raise ConfigError(f"default_agent {default_agent!r} is none of {', '.join(self.agents)}")
        defaults = {default_agent} - {""} | {role for role, agent in self.agents.items() if agent.dispatch == "default"}
        if len(defaults) > 1:
            raise ConfigError(f"application {name} has several default agents: {', '.join(sorted(defaults))}; name one")
        default_agent = next(iter(defaults), "")
        if default_agent and self.agents[default_agent].dispatch == "explicit":
            raise ConfigError(
                f"the default agent {default_agent!r} is dispatched explicitly alone; one excludes the other"
            )
        self.data = Path(data) if data is not None else None
        self.gate = list(gate) if isinstance(gate, Iterable) else gate
        self.preferred_language_for = preferred_language_for
        self.timezone_of = timezone_of
        self.locale_of = locale_of
        self.words = Words(words, self.agents)
        self.default_agent = default_agent
        self.on_result = on_result
        self.allowed_targets = allowed_targets
        self.user_quota = user_quota
        self.rules = Path(rules) if rules is not None else None
        self.permissions_of = permissions_of
        self.policy = policy or Policy()
        self.retired_reply = retired_reply

    def __repr__(self) -> str:
        return f"App(name={self.name!r}, agents=[{', '.join(self.agents)}])"


def import_app(path: str) -> App:
    """The application that `MODULE:ATTR` names; an attribute that is a function is called for it.

    Raises: ConfigError with one line that says which half of the path is wrong.
    """
    import importlib
    import sys

    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or not attribute:
        raise ConfigError(f"an application is named MODULE:ATTR, such as fleet.demo:app, not {path!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: an application beside where the command is typed
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise ConfigError(f"application {path}: there is no module {error.name!r}; is it installed?") from None
        raise ConfigError(f"application {path}: {module_name} needs the module {error.name!r}") from None
    except FleetError:
        raise
    except Exception as error:  # the application's own code may raise anything
        raise ConfigError(f"application {path}: {_raised(error)}") from error
    found = getattr(module, attribute, None)
    if found is None:
        raise ConfigError(f"application {path}: {module_name} has no attribute {attribute!r}")
    try:
        app = found() if callable(found) and not isinstance(found, App) else found
    except FleetError:
        raise
    except Exception as error:
        raise ConfigError(f"application {path}: {_raised(error)}") from error
    if not isinstance(app, App):
        raise ConfigError(f"application {path}: {attribute} is a {type(app).__name__}, not an App")
    app.path = path
    return app


def _raised(error: Exception) -> str:
    """What an application's code raised and where, in one line."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({at.filename}, line {at.lineno})"
