"""Labels put into sentences, as the captions of training are sentences (Radford et al. 2021, §3.1.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from clipwright.errors import LabelError
from clipwright.tasks.unknown import UNKNOWN

DEFAULT_TEMPLATES = ("a photo of a {}.",)
BENCHMARK_TEMPLATES = ("a photo of a {}.", "a picture of a {}.", "a close-up photo of a {}.", "a photo of the {}.")
"""What zero-shot accuracy is measured with here."""


def check_labels(labels: Sequence[str], *, unknown: bool = False) -> None:
    """Raises LabelError where there is no label, an empty or a repeated one, or one that nothing stands against.

    unknown: the answer 'none of these' will be added, so one label is enough, and none may have that name.
    """
    if isinstance(labels, str):
        raise LabelError(f"labels are a list of texts, not one string; give {[labels]!r}")
    if not labels:
        raise LabelError("no labels; give at least two, as in --labels 'cat, dog'")
    if any(not label.strip() for label in labels):
        raise LabelError("a label is empty; labels are separated by one comma, or stand one a line in a file")
    names = [label.strip() for label in labels]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise LabelError(f"label {repeated[0]!r} is given twice; leave one out")
    if unknown and UNKNOWN in names:
        raise LabelError(f"label {UNKNOWN!r} is what unknown adds; leave it out")
    if len(labels) == 1 and not unknown:
        raise LabelError(
            f"one label {labels[0]!r} would always get probability 1; "
            "give a second one, or allow 'none of these' by unknown"
        )


def fill_templates(labels: Sequence[str], templates: Sequence[str]) -> list[str]:
    """Every label in every template: K x T sentences, those of one label together. Raises LabelError without {}."""
    for template in templates:
        if template.count("{}") != 1:
            raise LabelError(f"template {template!r} needs one {{}} where the label stands, as in 'a photo of a {{}}.'")
    if not templates:
        raise LabelError("no templates; give at least one, as in 'a photo of a {}.'")
    return [template.replace("{}", label) for label in labels for template in templates]
