"""A document cut into passages: by headings, by paragraphs, and never longer than can be quoted."""

from __future__ import annotations

from fleet.documents.sections import Section, read_sections, title_of

PAGE = """\
---
author: nobody
---
# The handbook

Welcome.

## Leave

25 days a year.

```sh
# no heading
```

### Carrying over

Until March.

Travel
------

Second class.
"""


def test_markdown_is_cut_at_its_headings_and_code_is_no_heading():
    assert title_of("docs/handbook.md", PAGE) == "The handbook"
    assert list(read_sections("docs/handbook.md", PAGE)) == [
        Section("", "Welcome."),
        Section("Leave", "25 days a year.\n\n```sh\n# no heading\n```"),
        Section("Leave / Carrying over", "Until March."),
        Section("Travel", "Second class."),
    ]


def test_text_is_cut_between_paragraphs_and_has_its_files_name():
    text = "\r\n\r\n".join(f"{number} " + "word " * 150 for number in range(6))
    parts = [section.text for section in read_sections("notes.txt", text)]
    assert title_of("docs/notes.txt", text) == "notes"
    assert [part.split()[0] for part in parts] == ["0", "2", "4"]
    assert " ".join(" ".join(parts).split()) == " ".join(text.split())


def test_a_paragraph_without_an_end_is_cut_between_words_and_loses_none():
    for text in ("word " * 3000, "x" * 5001):
        parts = [section.text for section in read_sections("a.txt", text)]
        assert max(map(len, parts)) <= 2000
        assert "".join("".join(parts).split()) == "".join(text.split())


def test_nothing_has_no_sections():
    assert list(read_sections("a.md", "\n\n# Only a title\n")) == []
    assert list(read_sections("a.txt", " \n\n ")) == []
