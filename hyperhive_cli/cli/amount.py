"""`Amount`: a number on the command line."""

import math
from typing import Any

import click


class Amount(click.FloatRange):
    """A number within its range: seconds, dollars, a percentage. click's own lets `nan` into any range.

    With `nan` no deadline ends and no limit is reached. `inf` is for whoever wants no limit.
    """

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Give the number; fails as click does."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is no number.", param, ctx)
        return found
