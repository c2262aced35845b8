"""From the text of a query to a Query, or to a QueryError that points to the place.

The grammar stands in docs/concepts/query-language.md; each of its rules is a function here.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from clipwright.errors import QueryError
from clipwright.index.query import (
    URL,
    WEIGHT,
    And,
    Blend,
    Node,
    Not,
    Or,
    Query,
    Term,
    looks_like_picture,
    names_picture,
)
from clipwright.index.query_tokens import Token, refusal, split_query

MAX_LENGTH = 2_000
"""Characters of a query. A model reads some 70 tokens of a text; the rest is room for operators."""
MAX_DEPTH = 16
"""Of brackets and NOTs within each other."""
MAX_TERMS = 32
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 100.0


def parse_query(text: str, *, files: bool = True) -> Query:
    """The query that a text says.

    files: whether paths and URLs of pictures may stand in it, as for a command; without, uploads may, as for a server,
    and no file is looked at. Raises QueryError, with the place, where the text is no query or names no picture.
    """
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the query has {len(text):,} characters; at most {MAX_LENGTH:,} are read, so shorten it")
    return _Parser(text, files).query()


class _Parser:
    """Recursive descent over the tokens of one query."""

    def __init__(self, text: str, files: bool) -> None:
        self.text = text
        self.files = files
        self.tokens = split_query(text)
        self.place = 0
        self.terms = 0

    # -- the grammar, loosest first

    def query(self) -> Query:
        if self.token.kind == "end":
            raise QueryError("the query is empty; say what to search for, as in 'two dogs on a beach'")
        root = self._or(0)
        token = self.token
        if token.kind == ")":
            self._fail(token, "this bracket closes nothing; open one before it, or put it in quotes")
        if token.kind != "end":
            self._fail(token, f"AND or OR is missing before {self._named(token)}; or put it in quotes")
        return Query(root)

    def _or(self, depth: int) -> Node:
        parts = [self._and(depth)]
        while self.token.operator == "OR":
            self.place += 1
            parts.append(self._and(depth))
        flat = [inner for part in parts for inner in (part.parts if isinstance(part, Or) else (part,))]
        return flat[0] if len(flat) == 1 else Or(tuple(flat))

    def _and(self, depth: int) -> Node:
        parts = [self._not(depth)]
        while self.token.operator == "AND":
            self.place += 1
            parts.append(self._not(depth))
        flat = [inner for part in parts for inner in (part.parts if isinstance(part, And) else (part,))]
        return flat[0] if len(flat) == 1 else And(tuple(flat))

    def _not(self, depth: int) -> Node:
        token = self.token
        if depth > MAX_DEPTH:
            self._fail(token, f"brackets and NOTs are more than {MAX_DEPTH} deep; write it flatter")
        if token.operator == "NOT":
            self.place += 1
            return Not(self._not(depth + 1))
        if token.kind == "(":
            return self._bracket(depth)
        return self._blend()

    def _bracket(self, depth: int) -> Node:
        opening = self.token
        self.place += 1
        if self.token.kind == ")":
            self._fail(opening, "there is nothing in these brackets; leave them out, or put them in quotes")
        inside = self._or(depth + 1)
        closing = self.tokens[self.place]
        if closing.kind == "end":
            self._fail(opening, "this bracket is never closed; add ')', or put it in quotes")
        if closing.kind != ")":
            self._fail(closing, f"AND or OR is missing before {self._named(closing)}; or put it in quotes")
        self.place += 1
        if self.token.operator in ("+", "-"):
            self._fail(self.token, f"'{self.token.text}' joins words and pictures, not brackets; use AND, OR or NOT")
        return inside

    def _blend(self) -> Blend:
        start = self.token
        sign = 1.0
        if start.operator == "-":
            self.place += 1
            self._expect_term(start)
            sign = -1.0
        else:
            self._expect_term(None)
        terms = [self._term(sign)]
        while self.token.operator in ("+", "-"):
            operator = self.token
            self.place += 1
            self._expect_term(operator)
            terms.append(self._term(1.0 if operator.text == "+" else -1.0))
        blend = Blend(tuple(terms))
        if all(term.weight < 0 for term in terms):
            instead = str(Blend((Term(terms[0].kind, terms[0].value),)))
            self._fail(start, f"'-' takes away from something, and here is nothing; write NOT {instead}")
        return blend

    def _expect_term(self, before: Token | None) -> None:
        """Refuses where no term begins here. before: the operator + or - that asks for one."""
        token = self.token
        if token.begins_term:
            return
        if before is not None and token.kind == "(":
            self._fail(token, f"'{before.text}' joins words and pictures, not brackets; use AND, OR or NOT")
        if before is not None:
            follows = "nothing follows" if token.kind == "end" else f"{self._named(token)} follows"
            self._fail(before, f"after '{before.text}' stands no word or picture, but {follows}; or put it in quotes")
        if token.kind == "end":
            self._fail(self.tokens[self.place - 1], f"nothing follows {self._named(self.tokens[self.place - 1])}")
        self._fail(token, f"before {self._named(token)} stands no word or picture; or put it in quotes")

    def _term(self, sign: float) -> Term:
        first = self.place
        while self.token.begins_term:
            self.place += 1
        tokens = self.tokens[first : self.place]
        self.terms += 1
        if self.terms > MAX_TERMS:
            self._fail(tokens[0], f"more than {MAX_TERMS} words and pictures are joined; write a shorter query")
        if tokens[0].prefix or WEIGHT.match(tokens[0].text if tokens[0].kind == "word" else ""):
            return self._weighted(tokens, sign)
        return self._unweighted(tokens, tokens[0].start, sign)

    def _weighted(self, tokens: list[Token], sign: float) -> Term:
        first = tokens[0]
        found = WEIGHT.match(first.prefix or first.text)
        if found is None:
            return self._unweighted(tokens, first.start, sign)
        written = found[0][:-1]
        if not written.replace(".", "", 1).isdecimal() or not written.isascii():
            self._fail(first, f"a weight is a number like 2 or 0.5, not {written!r}; or put the words in quotes")
        weight = float(written)
        if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
            self._fail(first, f"a weight is from {LEAST_WEIGHT:g} to {MOST_WEIGHT:g}, not {written}")
        start = first.start + found.end()
        if first.kind == "quoted":
            rest = [Token("quoted", first.text, start, first.end, first.prefix[found.end() :]), *tokens[1:]]
        else:
            rest = tokens[1:]
            if left := first.text[found.end() :]:
                rest = [Token("word", left, start, first.end), *rest]
            if left[:1].isdigit():
                self._fail(first, f'{first.text} may be a weight or words; write "{first.text}" in quotes for words')
        if not rest:
            self._fail(first, f"no word or picture follows the weight {written}:")
        return self._unweighted(rest, start, sign * weight)

    def _unweighted(self, tokens: list[Token], start: int, weight: float) -> Term:
        first = tokens[0]
        plain = all(token.kind == "word" for token in tokens)
        written = self.text[tokens[0].start : tokens[-1].end]
        if first.prefix:  # file:"...", as odd addresses are written too
            self._expect_alone(tokens)
            return self._picture(first, first.text, weight)
        if first.kind == "word" and first.text.startswith("file:"):
            if not plain:
                self._fail(tokens[1], "after file: a path stands in quotes as a whole, or not at all")
            return self._file(first, written.removeprefix("file:"), weight)
        if first.kind == "word" and names_picture(first.text):
            self._expect_alone(tokens)
            return self._named_picture(first, weight)
        if plain and looks_like_picture(written):
            return self._picture(first, written, weight)
        for token in tokens:
            self._check_word(token)
        words = " ".join(token.text for token in tokens)
        return Term("words", words, weight)

    # -- what a term may be

    def _named_picture(self, token: Token, weight: float) -> Term:
        prefix, _, name = token.text.partition(":")
        if prefix.lower() == "photo":
            if not (name.isascii() and name.isdecimal() and len(name) <= 18):
                self._fail(token, "after photo: stands the number of a photograph; or put it in quotes")
            return Term("photo", str(int(name)), weight)
        if self.files:
            self._fail(token, "uploads belong to a server's queries; give the path of the picture")
        if not name:
            self._fail(token, "after upload: stands the name of the uploaded picture; or put it in quotes")
        return Term("upload", name, weight)

    def _picture(self, token: Token, written: str, weight: float) -> Term:
        if not URL.match(written):
            return self._file(token, written, weight)
        if not self.files:
            self._fail(token, "a server's queries take no addresses; upload the picture, or put it in quotes")
        if any(character.isspace() for character in written):
            self._fail(token, "an address is followed by words; put '+' between them, or all in quotes")
        return Term("url", written, weight)

    def _file(self, token: Token, path: str, weight: float) -> Term:
        if not self.files:
            self._fail(token, "a server's queries take no files; upload the picture, or put it in quotes for words")
        if not path.strip():
            self._fail(token, "after file: stands the path of a picture; or put it in quotes")
        try:
            place = Path(path).expanduser()
            found, is_folder = place.is_file(), place.is_dir()
        except (OSError, ValueError, RuntimeError) as error:  # a name too long, a NUL, no home
            why = getattr(error, "strerror", None) or error
            self._fail(token, f"the path {path[:60]!r} cannot be looked at ({why}); put it in quotes for words")
        if is_folder:
            self._fail(token, f"{path!r} is a folder, and a picture is meant; put it in quotes for words")
        if not found:
            self._fail(token, f"there is no file {path!r}; put it in quotes if words are meant")
        return Term("file", path, weight)

    def _expect_alone(self, tokens: list[Token]) -> None:
        if len(tokens) > 1:
            self._fail(tokens[1], "words follow a picture; put '+' or AND between them")

    def _check_word(self, token: Token) -> None:
        """Refuses what was probably meant as something else than words."""
        if token.prefix:
            self._fail(token, f"{token.prefix} stands in the middle of words; put '+' or AND before it")
        if token.kind == "quoted":
            return
        if names_picture(token.text):
            self._fail(token, "a picture follows words; put '+' or AND between them, or put it in quotes")
        if token.text[0] in "+-":
            sign, rest = token.text[0], token.text[1:]
            self._fail(token, f"'{sign}' needs a space on either side: '{sign} {rest}'; or put it in quotes")

    @property
    def token(self) -> Token:
        return self.tokens[self.place]

    def _named(self, token: Token) -> str:
        if token.kind == "end":
            return "the end"
        return "the bracket" if token.kind in ("(", ")") else f"'{self.text[token.start : token.end][:40]}'"

    def _fail(self, token: Token, why: str) -> NoReturn:
        raise refusal(self.text, token.start, why)
