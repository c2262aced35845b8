"""Commands with many options list them by what they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click


def grouped(groups: Mapping[str, Sequence[str]]) -> type[click.Command]:
    """The kind of a command whose help has a section for each group, by names of parameters; the rest comes last."""

    class GroupedCommand(click.Command):
        def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            records = {param.name: param.get_help_record(ctx) for param in self.get_params(ctx)}
            grouped_names = {name for names in groups.values() for name in names}
            others = [name for name in records if name not in grouped_names]
            for title, names in {**groups, "Other options": others}.items():
                with formatter.section(title):
                    formatter.write_dl([record for name in names if (record := records[name]) is not None])

    return GroupedCommand
