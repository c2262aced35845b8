"""The query language: what texts mean, what is refused, and that nothing else can happen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwright.errors import QueryError
from clipwright.index.query import And, Blend, Not, Or, Query, Term, looks_like_picture
from clipwright.index.query_parser import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, parse_query
from tests.support import REFERENCE

IN_LETTERS = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
PHOTO = str(REFERENCE / "pictures" / "rocket.jpg")


def words(text: str, weight: float = 1.0) -> Term:
    return Term("words", text, weight)


def leaf(text: str) -> Blend:
    return Blend((words(text),))


@pytest.mark.parametrize(
    "text",
    ["two dogs on a beach", "a man and a dog", "this or that", "not a cat", "t-shirt", "Paris–Dakar", "a dog's bowl"],
)
def test_everyday_texts_are_words(text: str) -> None:
    assert parse_query(text) == Query(leaf(text))


@pytest.mark.parametrize("text", ["a clock at 10:30", "C++", "24/7 shop", "And then", "a.jpg of a cat"])
def test_texts_that_nearly_have_another_meaning_are_words(text: str) -> None:
    assert parse_query(text) == Query(leaf(text))


def test_spaces_between_words_are_one() -> None:
    assert parse_query("  two \t dogs\n") == Query(leaf("two dogs"))


def test_signs_with_spaces_add_and_take_away() -> None:
    blend = Blend((words("golden retriever", 2.0), Term("file", PHOTO), words("fruit", -1.0)))
    assert parse_query(f"2:golden retriever + {PHOTO} - fruit") == Query(blend)
    assert parse_query("- fruit + .5:cake") == Query(Blend((words("fruit", -1.0), words("cake", 0.5))))


def test_arithmetic_binds_tighter_than_not_than_and_than_or() -> None:
    dusk = Blend((words("beach"), words("sunset")))
    expected = Or((And((Not(dusk), leaf("dog"))), leaf("cat")))
    assert parse_query("NOT beach + sunset AND dog OR cat") == Query(expected)


def test_brackets_bind_tightest() -> None:
    expected = And((Or((leaf("cat"), leaf("dog"))), Not(Or((leaf("snow"), leaf("rain"))))))
    assert parse_query("(cat OR dog)AND NOT(snow OR rain)") == Query(expected)


@pytest.mark.parametrize("text", ["cat AND dog", "a + b", "(brackets)", "-5 degrees", "16:9 film", "./pool.jpg"])
def test_quotes_make_anything_words(text: str) -> None:
    assert parse_query(f'"{text}"') == Query(leaf(text))


def test_a_doubled_quote_within_quotes_is_one() -> None:
    assert parse_query('"a 12"" record"') == Query(leaf('a 12" record'))


def test_quotes_as_telephones_type_them_are_quotes() -> None:
    assert parse_query("“cat AND dog” - fruit") == Query(Blend((words("cat AND dog"), words("fruit", -1.0))))


def test_quoted_parts_and_words_side_by_side_are_one_text() -> None:
    assert parse_query('a sign "NOT" in the street') == Query(leaf("a sign NOT in the street"))


@pytest.mark.parametrize(
    ("written", "path", "weight"),
    [
        ("my pool.jpg", "my pool.jpg", 1.0),
        ("./my pool.jpg", "./my pool.jpg", 1.0),
        ("file:my pool.jpg", "my pool.jpg", 1.0),
        ("2:my pool.jpg", "my pool.jpg", 2.0),
        ('0.5:file:"my - pool.jpg"', "my - pool.jpg", 0.5),
    ],
)
def test_a_path_may_hold_spaces(
    written: str, path: str, weight: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my - pool.jpg").touch()
    (tmp_path / "my pool.jpg").touch()
    assert parse_query(f"{written} + red") == Query(Blend((Term("file", path, weight), words("red"))))


def test_addresses_and_photo_ids_are_pictures() -> None:
    assert parse_query("https://example.org/a-cat?size=2") == Query(
        Blend((Term("url", "https://example.org/a-cat?size=2"),))
    )
    assert parse_query("photo:0012 - snow") == Query(Blend((Term("photo", "12"), words("snow", -1.0))))
    assert parse_query("Photo:12 - snow") == Query(Blend((Term("photo", "12"), words("snow", -1.0))))


def test_a_server_reads_uploads_but_neither_files_nor_addresses() -> None:
    assert parse_query("upload:a1 AND photo:3", files=False) == Query(
        And((Blend((Term("upload", "a1"),)), Blend((Term("photo", "3"),))))
    )
    for text in (
        PHOTO,
        f"file:{PHOTO}",
        f'file:"{PHOTO}"',
        "https://example.org/cat.jpg",
        "cat.jpg",
        "~/cat",
        "C:\\cat",
        IN_LETTERS,
        f"data:;base64,{IN_LETTERS}",
    ):
        with pytest.raises(QueryError, match="a server's queries take no"):
            parse_query(text, files=False)


def test_a_servers_refusal_does_not_tell_whether_a_file_exists(tmp_path: Path) -> None:
    def refusal(path: Path) -> str:
        with pytest.raises(QueryError) as caught:
            parse_query(f'file:"{path}"', files=False)
        return str(caught.value).replace(path.name, "")

    (tmp_path / "there.jpg").touch()
    assert refusal(tmp_path / "there.jpg") == refusal(tmp_path / "gone!.jpg")


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("(cat OR dog", "at character 1,", "never closed"),
        ("cat ) AND dog", "at character 5,", "closes nothing"),
        ('a "cat AND dog', "at character 3,", "never closed"),
        ("+ -", "at character 1,", "before '\\+' stands no word"),
        ("cat + - dog", "at character 5,", "'-' follows"),
        ("cat +", "at character 5,", "nothing follows"),
        ("cat AND", "at character 5,", "nothing follows"),
        ("cat AND OR dog", "at character 9,", "before 'OR'"),
        ("cat NOT dog", "at character 5,", "AND or OR is missing"),
        ("cat (dog)", "at character 5,", "AND or OR is missing"),
        ("(cat) + dog", "at character 7,", "joins words and pictures"),
        ("cat - (dog)", "at character 7,", "joins words and pictures"),
        ("cat -dog", "at character 5,", "'- dog'"),
        ("()", "at character 1,", "nothing in these brackets"),
        ('cat + " "', "at character 7,", "nothing in these quotes"),
        ('cat"s paw"', "at character 4,", "within a word"),
        ("dog AND - cat", "at character 9,", "write NOT cat"),
        ("0:cat", "at character 1,", "from 0.01 to 100"),
        ("1000:cat", "at character 1,", "from 0.01 to 100"),
        ("nan:cat", "at character 1,", "a weight is a number"),
        ("-2:cat", "at character 1,", "a weight is a number"),
        ("16:9 film", "at character 1,", "in quotes"),
        ("dog + 2:", "at character 7,", "follows the weight"),
        ("2:(cat)", "at character 1,", "not before brackets"),
        ("./lost.jpg", "at character 1,", "no file './lost.jpg'"),
        ("lost.HEIC", "at character 1,", "no file"),
        (f"cat + {IN_LETTERS}", "at character 7,", "no file"),
        (f"DATA:image/png;base64,{IN_LETTERS}", "at character 1,", "no file"),
        ("/", "at character 1,", "a folder"),
        ("photo:abc", "at character 1,", "number of a photograph"),
        ("dog Photo:3", "at character 5,", "a picture follows words"),
        ("dog photo:3", "at character 5,", "a picture follows words"),
        ("photo:3 dog", "at character 9,", "words follow a picture"),
        ("upload:x", "at character 1,", "belong to a server"),
    ],
)
def test_a_refusal_points_to_the_place_and_says_why(text: str, place: str, why: str) -> None:
    with pytest.raises(QueryError, match=why) as caught:
        parse_query(text)
    assert place in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_query_is_refused() -> None:
    for text in ("", " \t "):
        with pytest.raises(QueryError, match="empty"):
            parse_query(text)


def test_length_depth_and_number_of_terms_are_bounded() -> None:
    parse_query("a" * MAX_LENGTH)
    parse_query("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)
    parse_query(" + ".join(["a"] * MAX_TERMS))
    for text in (
        "a" * (MAX_LENGTH + 1),
        "(" * 900 + "a" + ")" * 900,
        "NOT " * 400 + "a",
        " OR ".join(["a"] * (MAX_TERMS + 1)),
    ):
        with pytest.raises(QueryError):
            parse_query(text)


@given(st.text(max_size=80), st.booleans())
def test_any_text_is_a_query_or_is_refused(text: str, files: bool) -> None:
    read(text, files)


_PIECES = ["cat", "a dog", "+", "-", "AND", "OR", "NOT", "(", ")", '"', '""', "“", "”", "2:", "0:", "file:", "photo:7"]
_PIECES += [
    "upload:x",
    "./x.jpg",
    "http://x",
    "~/",
    "t-shirt",
    "and",
    "16:9",
    "\0",
    "\udcff",
    " ",
    "  ",
    "file:/",
    "-x",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=14), st.sampled_from(["", " "]), st.booleans())
@settings(max_examples=300)
def test_any_mixture_of_what_the_language_has_is_a_query_or_is_refused(
    pieces: list[str], between: str, files: bool
) -> None:
    read(between.join(pieces), files)


def read(text: str, files: bool) -> None:
    try:
        query = parse_query(text, files=files)
    except QueryError:
        return
    assert parse_query(str(query), files=files) == query


_terms = st.builds(
    Term,
    st.just("words"),
    st.one_of(st.text(min_size=1, max_size=12), st.sampled_from([*_PIECES, "35mm film", "nan: x"])).filter(str.strip),
    st.sampled_from([1.0, 2.0, 0.5, 0.01, 100.0, 1 / 3]),
) | st.builds(Term, st.sampled_from(["photo"]), st.integers(1, 10**9).map(str))
_blends = st.builds(
    lambda first, others: Blend((first, *(Term(t.kind, t.value, t.weight * sign) for t, sign in others))),
    _terms,
    st.lists(st.tuples(_terms, st.sampled_from([1, -1])), max_size=2),
)


def _nodes(depth: int) -> st.SearchStrategy[Not | And | Or | Blend]:
    if not depth:
        return _blends
    inner = _nodes(depth - 1)
    return st.one_of(
        _blends,
        st.builds(Not, inner),
        st.builds(And, st.tuples(inner, inner)).filter(lambda n: not any(isinstance(p, And) for p in n.parts)),
        st.builds(Or, st.tuples(inner, inner)).filter(lambda n: not any(isinstance(p, Or) for p in n.parts)),
    )


@given(_nodes(2).map(Query))
def test_every_query_can_be_written_down_and_read_again(query: Query) -> None:
    assert parse_query(str(query)) == query


def test_text_that_looks_like_a_path_is_one() -> None:
    for path in ("./a", "../a", "/a", "~/a", "C:\\a", "c:/a", ".\\a", "a.jpeg", "A.PNG", "https://a"):
        assert looks_like_picture(path), path
    for text in ("a/b", "and/or", "...", "~100 cats", "c: a", "jpg", "http"):
        assert not looks_like_picture(text), text
