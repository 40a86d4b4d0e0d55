"""`fleet`: the entry point, the table of commands, and what every error comes to.

Nothing heavy is imported here: a command's module is loaded when it runs, and `fleet --help` prints the table below.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from fleet.errors import FleetError
from fleet.version import __version__

__all__ = ["COMMANDS", "FleetGroup", "fleet", "main"]

# name → (module and attribute, one line of help)
COMMANDS = {
    "demo": ("fleet.cli.demo:demo", "Watch a scripted day be routed and answered."),
    "chat": ("fleet.cli.chat:chat", "Talk to the fleet; the worker runs inside."),
    "send": ("fleet.cli.send:send", "Put a message into the inbox; print its id once it is durable."),
    "dispatch": ("fleet.cli.dispatch:dispatch", "Assign work to an agent without a routing model."),
    "inbox": ("fleet.cli.queues:inbox", "Messages that wait, and dead letters: list, put back, drop."),
    "outbox": ("fleet.cli.queues:outbox", "Replies that are not delivered: list, put back."),
    "confirm": ("fleet.cli.confirm:confirm", "Approve or refuse tool calls that wait for a person."),
    "takeover": ("fleet.cli.takeover:takeover", "Answer in a thread yourself: its agent does not, until released."),
    "reply": ("fleet.cli.takeover:reply", "Tell the user of a thread that is taken over something."),
    "release": ("fleet.cli.takeover:release", "Give a thread that is taken over back to its agent."),
    "jobs": ("fleet.cli.jobs:jobs", "What jobs did and cost; call off, try again, settle cut-off calls."),
    "reminders": ("fleet.cli.reminders:reminders", "What agents have set for later: list, take back."),
    "worker": ("fleet.cli.worker:worker", "Route and answer until SIGTERM, which drains."),
    "token": ("fleet.cli.token:token", "Sign a token for a client of the HTTP API."),
    "threads": ("fleet.cli.threads:threads", "List threads, or show one conversation."),
    "why": ("fleet.cli.why:why", "Say why a message went where it did."),
    "audit": ("fleet.cli.audit:audit", "List, count, export, label and verify the decisions."),
    "replay": ("fleet.cli.replay:replay_", "Read the stored answers again with today's code."),
    "whatif": ("fleet.cli.whatif:whatif", "Decide past messages again with another prompt, model or warmup."),
    "agents": ("fleet.cli.agents:agents", "Show the declared agents."),
    "examples": ("fleet.cli.examples:examples", "List and show examples; make one of a finished job."),
    "documents": ("fleet.cli.documents:documents", "Markdown and text for agents to search: add, list, remove."),
    "check": ("fleet.cli.check:check", "Check that roles, prompts, warmup, examples and models fit together."),
    "store": ("fleet.cli.store:store", "Status, verification, backup and repair of what is on disk."),
    "archive": ("fleet.cli.archive:archive_", "Move the payloads of closed threads into files beside the ledger."),
    "forget": ("fleet.cli.forget:forget_", "Erase every word of one user, everywhere, on record."),
    "tune": ("fleet.cli.tune:tune_", "Have the router without a key learn from your own labels."),
    "eval": ("fleet.cli.eval:eval_", "Run the dispatcher over labelled cases and score it."),
}

_SOFTWARE, _INTERRUPTED, _BROKEN_PIPE = 70, 130, 141

_EPILOG = """\b
Exit codes:
  0    done
  1    a check or verification found something
  2    input, configuration, home or usage was refused; nothing was left half-done
  70   fleet itself broke; the traceback says where
  74   the graph could not be committed; nothing is lost, start it again
  75   not now: the inbox or the disk is full, or the ledger locked; try again later
  76   another worker took this one's home over
  130  interrupted
  141  whoever read the output went away

Reading commands take --json: one object, or one a line, and nothing else on standard output.
They work while a worker runs."""


class FleetGroup(click.Group):
    """The commands by name, each loaded when it is asked for; errors as one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; its module is imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table, loading nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, *_: Any, **options: Any) -> Any:
        """Run, and exit with the code that the help names."""
        prog_name = options.get("prog_name") or "fleet"
        try:
            code = super().main(args, prog_name=prog_name, standalone_mode=False)
        except FleetError as error:
            code = _say(error.message, error.exit_code)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "fleet"
            code = _say(f"{error.format_message()} See `{where} --help`.", error.exit_code)
        except click.ClickException as error:
            code = _say(error.format_message(), error.exit_code)
        except click.Abort:
            code = _say("interrupted", _INTERRUPTED)
        except Exception:
            traceback.print_exc()
            code = _say("this is a bug in fleet; the traceback above says where", _SOFTWARE)
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that went away is no error."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still buffered has no reader either, and the interpreter would complain about that at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(_BROKEN_PIPE)
        return done


def _say(message: str, code: int) -> int:
    click.echo(f"fleet: {' '.join(message.split())}", err=True)
    return code


@click.group(cls=FleetGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fleet", message="%(prog)s %(version)s")
@click.option(
    "--home", type=click.Path(path_type=Path), help="The folder with the ledger and the graph [.fleet, or FLEET_HOME]."
)
def fleet(home: Path | None) -> None:
    """A durable runtime for fleets of LLM agents.

    It routes every message to the right thread and agent, lets that agent answer, and can say why.
    """


def main() -> None:
    """Run the command line on the process's arguments."""
    fleet.main()
