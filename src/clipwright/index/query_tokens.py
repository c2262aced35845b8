"""The text of a query split into words, quoted texts and brackets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clipwright.errors import QueryError
from clipwright.index.query import OPERATORS, WEIGHT

_QUOTES = {'"': '"', "“": "”", "„": "“"}
"""Opening to closing. The typographic ones are what telephones make of a plain one."""


@dataclass(frozen=True)
class Token:
    kind: Literal["word", "quoted", "(", ")", "end"]
    text: str
    """A word as it stands; what is between the quotes."""
    start: int
    end: int
    prefix: str = ""
    """What stands right before quotes: a weight, file:, or both."""

    @property
    def operator(self) -> str | None:
        return self.text if self.kind == "word" and self.text in OPERATORS else None

    @property
    def begins_term(self) -> bool:
        return self.kind in ("word", "quoted") and self.operator is None


def refusal(text: str, place: int, why: str) -> QueryError:
    """The error that points to a place of a query and says why it cannot be read."""
    shown = text[place:] if len(text) - place <= 30 else text[place : place + 29] + "…"
    where = f"at character {place + 1}, {shown!r}" if shown else "at its end"
    return QueryError(f"cannot read the query {where}: {why}")


def split_query(text: str) -> list[Token]:
    """The tokens of a query, an end last. Raises QueryError at quotes that are open, empty, or within a word."""
    tokens: list[Token] = []
    i = 0
    while i < len(text):
        if text[i].isspace():
            i += 1
        elif text[i] in "()":
            tokens.append(Token("(" if text[i] == "(" else ")", text[i], i, i + 1))
            i += 1
        else:
            tokens.append(_word(text, i))
            i = tokens[-1].end
    return [*tokens, Token("end", "", len(text), len(text))]


def _word(text: str, start: int) -> Token:
    """The word or the quoted text that begins here."""
    i = start
    while i < len(text) and not text[i].isspace() and text[i] not in "()" and text[i] not in _QUOTES:
        i += 1
    prefix = text[start:i]
    if i == len(text) or text[i] not in _QUOTES:
        if text[i : i + 1] == "(" and WEIGHT.fullmatch(prefix):
            raise refusal(text, start, "a weight stands before words or a picture, not before brackets")
        return Token("word", prefix, start, i)
    weight = WEIGHT.match(prefix)
    if prefix[weight.end() if weight else 0 :] not in ("", "file:"):
        raise refusal(text, i, 'a quote stands within a word; put all of it in quotes, with "" for a quote')
    value, end = _quoted(text, i)
    return Token("quoted", value, start, end, prefix)


def _quoted(text: str, start: int) -> tuple[str, int]:
    """What the quotes that open here hold, and where they end. A doubled closing quote stands for one."""
    closing = _QUOTES[text[start]]
    parts, i = [], start + 1
    while True:
        end = text.find(closing, i)
        if end < 0:
            raise refusal(text, start, "these quotes are never closed; close them, or leave them out")
        parts.append(text[i:end])
        i = end + 1
        if not text.startswith(closing, i):
            break
        parts.append(closing)
        i += 1
    value = "".join(parts)
    if not value.strip():
        raise refusal(text, start, "there is nothing in these quotes; leave them out")
    if i < len(text) and not text[i].isspace() and text[i] not in "()":
        raise refusal(text, i, "a space is missing after the quotes")
    return value, i
