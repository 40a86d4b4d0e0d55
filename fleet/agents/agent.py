"""Agents as an application declares them, and the dispatcher that routes to them.

A declaration is code: it lives in the process, and the runtime mirrors it into the durable root at start. What a
declaration leaves out is joined by role from the application's data folder: prompts/<role>.md, warmup/<role>.py,
examples_db/<role>/.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

from fleet.agents.policy import Policy
from fleet.agents.tool import Tool
from fleet.errors import ConfigError

__all__ = ["DISPATCH_TOOL", "Agent", "DialogAgent", "MessageDispatcher", "SupervisedAgent", "create_tool"]

DISPATCH_TOOL = "subagent_dispatch"  # what an agent with `may_dispatch` hands tasks to others by

AgentKind = Literal["dialog", "supervised", "dispatcher"]
DispatchMode = Literal["auto", "explicit", "default"]


class Agent:
    """A role: description, prompt, tools, model, examples. Use `DialogAgent` or `SupervisedAgent`.

    `role` joins the agent to its files; `description` (default: the prompt's GOAL line) and `capabilities` (default:
    what its tools say of themselves) are what the router is shown; `prompt` and `warmup` are texts that win over the
    files; `model` wins over the setting worker_model; `locale` is the language of its threads where the router's
    choice should not count. `dispatch` says how it comes by a new thread: "auto", the router may choose it;
    "explicit", it is never shown to the router, and is given threads by gates and dispatches alone; "default", it
    also gets what nothing else could place. `quota`, such as `20/min`, is how many messages it is given,
    `max_concurrency` how many of its turns run at a time (0: as many as the worker's), `policy` limits its turns and
    what they cost; `away` is what the users of its threads are told while it is paused ("": their messages wait until
    it goes on). `may_dispatch` are the roles that it may hand tasks to, by the tool `subagent_dispatch`. `prewarm()`,
    sync or async, runs when a worker starts and before any of its turns: what it raises is on record, and it is tried
    again, later each time.
    Raises: ConfigError for a role that cannot name a file, or tools that clash.
    """

    KIND: ClassVar[AgentKind] = "dialog"
    __fleet_declaration__ = True  # `memo` leaves declarations as they are

    def __init__(
        self,
        role: str,
        *,
        description: str = "",
        capabilities: Sequence[str] = (),
        tools: Iterable[Callable[..., Any] | Tool] = (),
        prompt: str | None = None,
        warmup: str | None = None,
        model: str = "",
        locale: str = "",
        dispatch: DispatchMode = "auto",
        quota: str = "",
        max_concurrency: int = 0,
        away: str = "",
        may_dispatch: Iterable[str] = (),
        policy: Policy | None = None,
        prewarm: Callable[[], Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if not role or not role.isprintable() or set(role) & set("/\\:\"'`<> .\n"):
            raise ConfigError(f"a role is a plain name like schedule_assistant, not {role!r}")
        self.role = role
        self.description = description
        self.capabilities = tuple(capabilities)
        self.tools = tuple(Tool.of(each) for each in tools)
        names = [each.name for each in self.tools]
        if len(set(names)) < len(names):
            raise ConfigError(f"agent {role}: two tools share the name {max(names, key=names.count)!r}")
        self.may_dispatch = (may_dispatch,) if isinstance(may_dispatch, str) else tuple(dict.fromkeys(may_dispatch))
        if role in self.may_dispatch:
            raise ConfigError(f"agent {role}: may_dispatch names {role} itself; an agent hands tasks to others")
        if self.may_dispatch and DISPATCH_TOOL in names:
            raise ConfigError(f"agent {role}: {DISPATCH_TOOL} is the tool that may_dispatch gives; rename yours")
        self.policy = policy or Policy()
        self.prompt = prompt
        self.warmup = warmup
        self.model = model or str((metadata or {}).get("MODEL", ""))
        self.locale = locale
        if dispatch not in get_args(DispatchMode):
            raise ConfigError(f"agent {role}: dispatch is auto, explicit or default, not {dispatch!r}")
        self.dispatch = dispatch
        if max_concurrency < 0:
            raise ConfigError(f"agent {role}: max_concurrency is 0 or more, not {max_concurrency}")
        if prewarm is not None and not callable(prewarm):
            raise ConfigError(f"agent {role}: prewarm must be a function, not {type(prewarm).__name__}")
        self.prewarm = prewarm
        self.quota, self.max_concurrency, self.away = quota, max_concurrency, away

    def __repr__(self) -> str:
        return f"{type(self).__name__}(role={self.role!r})"


class DialogAgent(Agent):
    """An agent that talks to the user. Its replies leave by the outbox through `send_message`.

    `send_message` is a function, sync or async. It is given what its parameters ask for by name (reply, reply_id,
    user, thread_id, job_id, agent, result, text or body or message or content; `**kwargs` all of these but reply); a
    first parameter of any other name gets the `Reply` if it is annotated so, else the text. It may be called again for
    the same reply after a crash: `reply_id` is the same then.

    `send_partial`, sync or async, is for channels that can show a reply while it is written: it is given a `Partial`
    for what has been added since the last call. What it shows is replaced by the reply that `send_message` brings.
    """

    def __init__(
        self,
        role: str,
        send_message: Callable[..., Any] | None = None,
        send_partial: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(role, **_plain(options))
        self.send_message, self.send_partial = send_message, send_partial
        for what, fn in (("send_message", send_message), ("send_partial", send_partial)):
            if fn is not None and not callable(fn):
                raise ConfigError(f"agent {role}: {what} must be a function, not {type(fn).__name__}")


class SupervisedAgent(Agent):
    """An agent that works in the background: its results are on record, and another system tells the user."""

    KIND: ClassVar[AgentKind] = "supervised"

    def __init__(self, role: str, **options: Any) -> None:
        super().__init__(role, **_plain(options))


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options with the underscored spellings of the guide (`_tools`, `_system_prompt`, `_metadata`) made plain."""
    plain = {
        ("prompt" if name in ("_system_prompt", "system_prompt") else name.lstrip("_")): value
        for name, value in options.items()
    }
    known = set(inspect.signature(Agent.__init__).parameters) - {"self", "role"}
    unknown = sorted(set(plain) - known)
    if unknown:
        raise ConfigError(f"an agent has no option {unknown[0]!r}; it takes {', '.join(sorted(known))}")
    return plain


class MessageDispatcher:
    """The router's declaration: which facts its warmup prints, which verbs the warmup may use, which model decides.

    Subclass it, as `AppDispatcher`. `chat_history(count=5)` may narrow which of the sender's threads are candidates:
    it returns thread views out of `fleet_threads` (or None for all); `start_new_thread` and `dispatch_to` declare the
    two actions' signatures: they are checked, and never called, for a router's words are never executed. Of `policy`
    its `model_timeout_s` and `model_retries` count, for a routing call.
    """

    __fleet_declaration__ = True  # `memo` leaves declarations as they are
    role = "dispatcher"
    task_agents: Any = None

    def __init__(
        self,
        *,
        task_agents: Mapping[str, Agent] | None = None,
        chat_history: Callable[..., Any] | None = None,
        start_new_thread: Callable[..., Any] | None = None,
        dispatch_to: Callable[..., Any] | None = None,
        warmup: str | None = None,
        prompt: str | None = None,
        model: str = "",
        policy: Policy | None = None,
    ) -> None:
        if task_agents is not None:
            self.task_agents = task_agents
        self.chat_history = chat_history
        self.start_new_thread = start_new_thread
        self.dispatch_to = dispatch_to
        self.warmup = warmup
        self.prompt = prompt
        self._model = model
        self.policy = policy or Policy()
        self._metadata: dict[str, Any] = {}
        self._tool_names: list[str] = []
        self._X__context: dict[str, Any] | None = None

    @property
    def model(self) -> str:
        """`provider:model` that decides, none, or "" for the setting router_model; `_metadata["MODEL"]` counts too."""
        name = self._model or str(self._metadata.get("MODEL", ""))
        return name if ":" in name or name == "none" else ""

    @property
    def context(self) -> Mapping[str, Any]:
        """The verbs that this application adds to the warmup's names."""
        if self._X__context is None:
            self.init_context()
        return self._X__context or {}

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names given to `append_tool`; `fleet check` holds them against `context`."""
        return tuple(self._tool_names)

    def init_context(self) -> None:
        """Prepare the warmup's extra names; a subclass extends it and fills `self._X__context`."""
        self._X__context = {}

    def update_warmup_def(self, code: str) -> None:
        """Set the warmup code; facts that it does not print (agents, threads) are printed after it."""
        self.warmup = code

    def append_tool(self, name: str) -> None:
        """Promise that the warmup may call `name`."""
        if name not in self._tool_names:
            self._tool_names.append(name)


def create_tool(*, tool_name: str, callable: Callable[..., Any], docstring: str, context: dict[str, Any]) -> None:  # noqa: A002 - the guide's spelling
    """Put a function into a dispatcher's warmup names under `tool_name`, with `docstring` as its help."""
    if not tool_name.isidentifier():
        raise ConfigError(f"a tool's name must be an identifier, not {tool_name!r}")

    def verb(*args: Any, **kwargs: Any) -> Any:
        return callable(*args, **kwargs)

    verb.__name__, verb.__doc__ = tool_name, docstring
    verb.__signature__ = inspect.signature(callable)  # type: ignore[attr-defined]
    context[tool_name] = verb
