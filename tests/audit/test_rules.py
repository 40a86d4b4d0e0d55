"""The rules out of a prompt."""

from __future__ import annotations

from fleet.audit.rules import rules_of


def test_numbered_rules_with_the_lines_that_belong_to_them() -> None:
    prompt = """# Router

Do not answer. Go by these rules:

1. **First** things
   first.
2) Then the
   second,

   still the second.
Not a rule.
- a bullet

```python
1. no rule
```
3. The third.
"""
    assert rules_of(prompt) == ("1. **First** things first.", "2) Then the second, still the second.", "3. The third.")


def test_bullets_where_nothing_is_numbered() -> None:
    assert rules_of("Decide so:\n- a\n- b\n  c\n\n~~~\n- d\n~~~\n") == ("- a", "- b c")


def test_lines_where_there_is_no_list() -> None:
    assert rules_of("Take the newest thread.\n\nElse a new one.\n") == ("Take the newest thread.", "Else a new one.")
    assert rules_of("") == ()
