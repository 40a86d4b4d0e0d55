"""The collector that traces go to, for the commands that send them: an extra that may not be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet.errors import InputError

if TYPE_CHECKING:
    from fleet.audit.otel import Receiver

__all__ = ["missing", "receiver"]


def receiver(url: str, asked: str) -> Receiver:
    """The collector at `url`; `asked` is the option or variable that names it.

    Raises: InputError for an address that is none, or without the extra otel.
    """
    try:
        from fleet.audit.otel import Receiver
    except ModuleNotFoundError as error:
        raise missing(asked, error) from None
    return Receiver(url)


def missing(asked: str, error: ModuleNotFoundError) -> InputError:
    """What to say where the extra is not installed."""
    return InputError(
        f"{asked} needs the extra otel, which is not installed ({error.name}): pip install 'fleet-runtime[otel]'"
    )
