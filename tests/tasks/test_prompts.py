from __future__ import annotations

import pytest

from clipwright.errors import LabelError
from clipwright.tasks.prompts import BENCHMARK_TEMPLATES, DEFAULT_TEMPLATES, check_labels, fill_templates


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ([], "no labels; give at least two"),
        (["cat", ""], "a label is empty"),
        (["cat", "  "], "a label is empty"),
        (["cat", "dog", "cat"], "label 'cat' is given twice"),
        (["cat", "dog", " cat"], "label 'cat' is given twice"),
        (["cat"], "one label 'cat' would always get probability 1; give a second one, or allow 'none of these'"),
        ("cat", r"a list of texts, not one string; give \['cat'\]"),
    ],
)
def test_labels_that_mean_nothing_are_refused(labels: list[str], complaint: str) -> None:
    with pytest.raises(LabelError, match=complaint):
        check_labels(labels)


def test_one_label_is_enough_where_none_of_these_stands_against_it() -> None:
    check_labels(["cat"], unknown=True)


def test_a_label_may_not_be_called_none_of_these_where_that_answer_is_added() -> None:
    with pytest.raises(LabelError, match="leave it out"):
        check_labels(["cat", "none of these"], unknown=True)


def test_no_label_is_too_few_also_where_one_would_do() -> None:
    with pytest.raises(LabelError, match="no labels"):
        check_labels([], unknown=True)


@pytest.mark.parametrize("template", ["a photo", "", "a {} and a {}", "a {0}."])
def test_a_template_without_one_place_for_the_label_is_refused(template: str) -> None:
    with pytest.raises(LabelError, match=r"needs one \{\} where the label stands"):
        fill_templates(["cat"], [template])


def test_no_templates_are_refused() -> None:
    with pytest.raises(LabelError, match="no templates"):
        fill_templates(["cat"], [])


def test_sentences_of_one_label_stand_together() -> None:
    filled = fill_templates(["cat", "dog"], ["a {}.", "the {}."])
    assert filled == ["a cat.", "the cat.", "a dog.", "the dog."]


def test_braces_in_a_label_are_only_letters() -> None:
    assert fill_templates(["{}", "{0}"], ["a {}."]) == ["a {}.", "a {0}."]


@pytest.mark.parametrize("template", [*DEFAULT_TEMPLATES, *BENCHMARK_TEMPLATES])
def test_our_own_templates_are_taken(template: str) -> None:
    assert fill_templates(["cat"], [template]) == [template.format("cat")]
