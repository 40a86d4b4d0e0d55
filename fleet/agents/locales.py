"""Locales: BCP 47 tags such as de-AT."""

from __future__ import annotations

import re

__all__ = ["read_locale"]

_TAG = re.compile(  # language, script, region, variants; then extensions and private use
    r"([a-z]{2,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)"
    r"((?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?)",
    re.I | re.A,
)
_LONGEST = 35  # characters, what RFC 5646 asks everybody to take


def read_locale(text: str) -> str | None:
    """A BCP 47 tag in its usual spelling (`DE_at` is de-AT); None for what is none."""
    tag = text.strip().replace("_", "-")
    found = _TAG.fullmatch(tag) if len(tag) <= _LONGEST else None
    if found is None:
        return None
    language, *parts = found[1].split("-")
    spelled = [part.title() if len(part) == 4 and part.isalpha() else part.lower() for part in parts]
    spelled = [part.upper() if len(part) == 2 else part for part in spelled]
    return "-".join((language.lower(), *spelled)) + found[2].lower()
