"""Names of people in free text, by rule: where words say that a name comes, and given names that are nothing else.

A name is up to three capitalised words after an introduction ("my name is", "ich heiße", "je m'appelle" …), a title
(Mr, Frau, Dr …), a greeting at the beginning of a line, or a parting at the end; or a common given name with the
surname after it. Once found, its words are taken out of whatever belongs to that text too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set

__all__ = ["name_spans", "name_words", "without_names"]

_NAME = "[name]"
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['’.-](?=[^\W\d_]))*")
_POSSESSIVE = re.compile("['’]s$")
_GAP = re.compile(r"(?:\.? |\. ?)")

_SURE = """
my name is|my name's|name is|the name's|mein name ist|ich heiße|ich heisse|me llamo|mi nombre es|je m'appelle
|mon nom est|meu nome é|me chamo|mi chiamo|il mio nome è|nazywam się|mam na imię|меня зовут|мене звати|benim adım
|mijn naam is|ik heet|jag heter|mitt namn är|signed
"""
_LIKELY = "i am|i'm|i’m|this is|it's|speaking with|ich bin|soy|je suis|sou|sono|hier ist|call me|ask for"
_TITLES = (
    "mr|mrs|ms|miss|dr|prof|herr|herrn|frau|señor|señora|sr|sra|mme|monsieur|madame|mlle|signor|signora|pan|pani|sir"
)
_HELLO = "hi|hello|dear|hey|hallo|hola|olá|bonjour|ciao|liebe|lieber|good morning|good evening|guten tag|buenos días"
_PARTING = """
regards|best wishes|cheers|thanks|thank you|sincerely|yours|grüße|gruß|saludos|gracias|cordialement|merci|obrigado
|obrigada|atenciosamente|saluti|grazie|pozdrawiam|best
"""


def _words(alternatives: str) -> str:
    return "|".join(re.escape(each.strip()).replace(r"\ ", r"\s{1,3}") for each in alternatives.split("|"))


_CUES = re.compile(
    rf"(?<!\w)(?:(?P<sure>{_words(_SURE)})|(?P<likely>{_words(_LIKELY)})|(?P<title>{_words(_TITLES)}))(?!\w)[.:,]?\s{{1,4}}",
    re.I,
)
_LINES = re.compile(rf"(?:^|[\n.!?])\s{{0,4}}(?:{_words(_HELLO)})[ ,]{{1,3}}(?=\w)", re.I)
_PARTINGS = re.compile(rf"(?<!\w)(?:{_words(_PARTING)})[ \t]{{0,3}}[,.!\-–]?[ \t]{{0,3}}[\n,\-–]\s{{0,6}}(?=\w)", re.I)
_CASELESS = re.compile(
    r"(?<=我叫)[\u4e00-\u9fff]{2,3}|(?<=我的名字是)[\u4e00-\u9fff]{2,3}|[\u3040-\u30ff\u4e00-\u9fff]{2,8}(?=と申します)"
    r"|(?<=اسمي )[\u0621-\u064a]+(?: [\u0621-\u064a]+)?|(?<=मेरा नाम )[\u0900-\u097f]+(?: [\u0900-\u097f]+)?(?= है)"
)

# Capitalised, and no name: what often comes after "I am" or begins a sentence.
_NO_NAMES = frozenset(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december montag dienstag mittwoch donnerstag freitag samstag sonntag lunes martes
    miércoles jueves viernes sábado domingo english german french spanish portuguese polish italian american british
    european deutsch i ok the a an my your our their his her its it is and or but if when where what why how who
    please thanks thank you can could would will should do does there team all everyone everybody again support
    service not still here now today tomorrow yes no sorry just also ja nein bitte danke das die der ein eine und
    oder wir sie ihr er es no sí gracias hr it urgent about from in on at to for of with by that this these those
    name
    """.split()  # noqa: SIM905 - as a list it would fill pages
)
_GIVEN = frozenset(
    """
    Aaliyah Abdul Agnieszka Ahmed Aisha Akira Alejandra Alejandro Alessandro Alice Alicia Amina Ana Andrea Andrew
    Andrzej Angela Anita Anna Anne Annika Antonio Anthony Ayesha Barbara Beatriz Benjamin Bernardo Brandon Brian
    Bruno Camila Carla Carlos Carolina Caroline Catarina Catherine Charlotte Chiara Chloe Christian Christina
    Christopher Claudia Daniel Daniela David Deborah Dennis Diego Dmitri Dorothy Edward Eduardo Elena Elizabeth
    Emily Emma Enrique Eric Ewa Fatima Fatma Federico Felipe Fernanda Fernando Filip Francesca Francesco Francisco
    Franziska Frédéric Gabriel Gabriela Gabriele Giovanni Giulia Gonzalo Grzegorz Guillermo Hannah Hans Hassan
    Heather Heinrich Helena Hiroshi Hussein Ibrahim Ignacio Ines Ingrid Irina Isabel Isabella Ivan Jacek Jacob Jakub
    James Jamal Javier Jennifer Jessica Joanna João Johann Johannes Jonas Jonathan Jorge José Joseph Joshua Juan
    Julia Juliana Julien Jürgen Karen Katarzyna Katharina Kathleen Kenji Kevin Khadija Krzysztof Lakshmi Laura
    Lauren Leonardo Lisa Lorenzo Lucia Luciana Ludwig Luis Luiza Lukas Łukasz Maciej Magdalena Małgorzata Manuel
    Marcin Marco Margaret Maria Mariana Marie Mariusz Marta Martina Mateus Matthew Matthias Maximilian Mehmet
    Melissa Michael Michelle Miguel Mohamed Mohammed Monika Muhammad Mustafa Nadia Natalia Natasha Nathan Nguyen
    Nicholas Nicole Nicolas Noah Nuno Oksana Oleksandr Olga Olivia Omar Pablo Paolo Patricia Patrick Paulo Pedro
    Philip Philippe Piotr Priya Rachel Rafael Raj Rajesh Rebecca Renata Ricardo Richard Roberto Rodrigo Rosa Ryan
    Sakura Salma Samantha Samuel Sandra Sanjay Santiago Sarah Sebastian Sergei Sergio Sharon Sofia Sophia Sophie
    Stefan Stephanie Steven Sunita Susan Svetlana Takeshi Tatiana Teresa Theresa Thiago Thomas Timothy Tomasz
    Valentina Vanessa Vladimir Wei Wojciech Xavier Yasmin Yuki Yusuf Zainab Zbigniew Zofia
    """.split()  # noqa: SIM905 - as a list it would fill pages
)


Span = tuple[int, int]


def name_spans(text: str) -> tuple[Span, ...]:
    """The places of names in a text, from left to right; they may overlap."""
    return tuple(sorted(_found(text)))


def name_words(text: str, spans: Iterable[Span]) -> frozenset[str]:
    """The words in these places that would be names elsewhere too: capitalised, of three letters or more."""
    words = (word.group() for start, end in spans for word in _WORD.finditer(text, start, end))
    return frozenset(word for word in words if len(word) > 2 and word[0].isupper())


def without_names(text: str, spans: Sequence[Span], known: Set[str]) -> str:
    """The text with `[name]` in these places, and in place of every word that is `known` to be part of a name."""
    if known:
        own = (each.span() for each in _WORD.finditer(text) if _POSSESSIVE.sub("", each.group()) in known)
        spans = sorted([*spans, *own])
    if not spans:
        return text
    parts: list[str] = []
    done = 0
    for start, end in spans:
        if start >= done:
            parts += (text[done:start], _NAME)
        done = max(done, end)
    return re.sub(r"\[name\](?: \[name\])+", _NAME, "".join((*parts, text[done:])))


def _found(text: str) -> Iterator[Span]:
    for cue in _CUES.finditer(text):
        span = _name_at(text, cue.end())
        if span is not None and (not cue["likely"] or not text[slice(*span)].isupper()):
            yield span
    for cue in _LINES.finditer(text):
        span = _name_at(text, cue.end())
        if span is not None and text[span[1] : span[1] + 1] in ("", ",", "!", ":", ".", "\n", " ", "-"):
            yield span
    for cue in _PARTINGS.finditer(text):
        span = _name_at(text, cue.end())
        if span is not None and not text[span[1] :].strip(" .!\n"):
            yield span
    for found in _CASELESS.finditer(text):
        yield found.span()
    for word in _WORD.finditer(text):
        if _POSSESSIVE.sub("", word.group()) in _GIVEN:
            yield _name_at(text, word.start()) or word.span()


def _name_at(text: str, start: int) -> Span | None:
    """Up to three capitalised words from `start` on that may be a name; None if the first is none."""
    end = start
    for count in range(3):
        word = _WORD.match(text, end if not count else _after_gap(text, end))
        if word is None or not word.group()[0].isupper() or word.group().casefold() in _NO_NAMES:
            break
        end = word.end()
    return (start, end) if end > start else None


def _after_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else len(text)
