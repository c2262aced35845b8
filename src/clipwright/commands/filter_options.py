"""The options that filter photographs by what their files say of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

Command = TypeVar("Command", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--after", metavar="DATE", help="Taken then or later: 2024, 2024-05, 2024-05-31, 2024-05-31T13:30."),
    click.option("--before", metavar="DATE", help="Taken before."),
    click.option("--camera", metavar="TEXT", help="Part of the camera's name."),
    click.option("--lens", metavar="TEXT", help="Part of the lens's name."),
    click.option("--near", metavar="LAT,LON,KM", help="Taken within so many kilometres of a place."),
    click.option("--path", metavar="GLOB", help="Such as '*.png' or '**/Italy/**': * within a name, ** anything."),
    click.option("--min-megapixels", type=click.FloatRange(0), metavar="N", help="At least so many million pixels."),
)


def filter_options(command: Command) -> Command:
    """--after, --before and the others; the command gets them as one argument, filters. Raises QueryError where a date
    or a place is none."""

    @functools.wraps(command)
    def with_filters(*arguments: Any, **options: Any) -> Any:
        from clipwright.index.filters import Filters, parse_moment, parse_near

        after, before, near = (options.pop(name) for name in ("after", "before", "near"))
        filters = Filters(
            after=None if after is None else parse_moment(after),
            before=None if before is None else parse_moment(before),
            near=None if near is None else parse_near(near),
            **{name: options.pop(name) for name in ("camera", "lens", "path", "min_megapixels")},
        )
        return command(*arguments, filters=filters, **options)

    decorated: Any = with_filters
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return cast(Command, decorated)
