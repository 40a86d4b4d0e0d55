"""`fleet audit`: the decisions on record, each verb in a module of its own."""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["audit"]

# name → (module and attribute, one line of help)
_VERBS = {
    "list": ("fleet.cli.audit_list:list_", "List decisions, page by page."),
    "stats": ("fleet.cli.audit_stats:stats_", "Count decisions: volumes, rates, latency, tokens and cost."),
    "export": ("fleet.cli.audit_export:export_", "Write decisions out: JSON lines, CSV, OpenTelemetry."),
    "label": ("fleet.cli.labels:label_", "Record what would have been right for a message."),
    "cases": ("fleet.cli.labels:cases_", "Write the labelled decisions as cases for `fleet eval`."),
    "verify": ("fleet.cli.audit_verify:verify", "Check the hash chain, and an anchor of it."),
}


class _Verbs(click.Group):
    """The verbs by name, each loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module, _, attribute = _VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _VERBS.items()])


@click.group(cls=_Verbs)
def audit() -> None:
    """What was decided, and by whom. Reads the ledger only."""
