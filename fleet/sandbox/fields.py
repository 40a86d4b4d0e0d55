"""The fields of an f-string, as Python 3.11 finds them; later versions read more.

An f-string is never accepted in an action. It still has to be bounded before it is parsed, and to get the same
verdict on every version.
"""

from __future__ import annotations

import re

__all__ = ["fields_of"]

_FIELD_STRING = re.compile(r"('''|\"\"\"|'|\")[^\\]*?\1")
_NESTED_FORMAT = re.compile(r":[^{}]*\}")
_CONVERSION = re.compile(r"!(?:=|[a-z][:}])")


def fields_of(body: str, *, raw: bool) -> list[str] | None:
    """The expressions in an f-string's fields; None if the braces do not pair up as Python 3.11 wants them.

    In an expression 3.11 has no backslash, no # and no star in front; after its colon comes plain text again, in
    which one more level of fields may stand.
    """
    fields: list[str] = []
    at = depth = start = 0
    in_format = False
    while at < len(body):
        sign = body[at]
        step = 1
        if depth == 0:
            if body[at : at + 2] in ("{{", "}}"):
                step = 2
            elif sign == "\\" and not raw:
                named = body.find("}", at) if body.startswith("\\N{", at) else -1
                step = max(named + 1 - at, 2)
            elif sign == "}":
                return None
            elif sign == "{":
                depth, start, in_format = 1, at + 1, False
        elif in_format and depth == 1:
            depth += (sign == "{") - (sign == "}")
            start = at + 1
        elif sign in "\\#" or (sign == "!" and depth == 1 and _CONVERSION.match(body, at) is None):
            return None
        elif sign in "'\"":
            literal = _FIELD_STRING.match(body, at)
            if literal is None:
                return None
            step = len(literal[0])
        elif sign in "([{":
            depth += 1
        elif sign in ")]}" or (sign == ":" and depth == 1):
            in_format = in_format or sign == ":"
            depth -= sign != ":"
            if depth == in_format:
                fields.append(body[start:at])
        elif sign == ":" and depth == 2 and in_format and _NESTED_FORMAT.match(body, at) is None:
            return None
        at += step
    return None if depth or any(field.lstrip().startswith("*") for field in fields) else fields
