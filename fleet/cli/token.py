"""`fleet token`: grants for clients of the HTTP API."""

from __future__ import annotations

import click

from fleet.cli.options import json_option, load_settings
from fleet.cli.output import print_json
from fleet.web.grants import Grant, Issuer, parse_start

__all__ = ["token"]


@click.group()
def token() -> None:
    """Sign tokens for clients of `fleet worker --http`."""


@token.command()
@click.option("--user", required=True, help="Whom the token speaks for.")
@click.option(
    "--start", "starts", multiple=True, metavar="ROLE[=JSON]", help="An agent to dispatch on connect; repeat."
)
@click.option("--role", "roles", multiple=True, help="The only roles that it may reach [all]; repeat.")
@click.option("--ttl", default=3600.0, show_default=True, metavar="SECONDS", help="How long it is good for.")
@click.option("--operator", is_flag=True, help="It speaks for every user, and sees every decision.")
@json_option
def create(
    user: str, starts: tuple[str, ...], roles: tuple[str, ...], ttl: float, operator: bool, as_json: bool
) -> None:
    """Print a signed token.

    It is signed with FLEET_TOKEN_SECRET (HS256) or the Ed25519 key in the file FLEET_TOKEN_KEY (EdDSA).
    """
    grant = Grant("", user, operator, roles, tuple(map(parse_start, starts)))
    signed = Issuer(load_settings(None)).sign(grant, ttl)
    if as_json:
        print_json({"token": signed, "user": user, "expires_in_s": round(ttl)})
    else:
        click.echo(signed)
