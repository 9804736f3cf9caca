"""`Amount`, `Duration`, `Days`, `Size`, `Count`, `TimeOfDay` and `Kept`: numbers and times on the command line."""

import math
import re
from typing import Any

import click

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.retention import Retention, text_to_size
from hyperhive_cli.core.settings import MAX_FIGURE


class Amount(click.FloatRange):
    """A number within its range: dollars, a percentage. click's own type lets `nan` into any range.

    With `nan` no deadline would pass and no limit be reached. `inf` means no limit. `most` is an upper bound far
    beyond any use, so the help does not name it.
    """

    name = "number"

    def __init__(self, *, most: float = math.inf, **range_: Any) -> None:  # noqa: ANN401 - as click has it
        super().__init__(**range_)
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Return the number; fails as click does."""
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is not a number.", param, ctx)
        if found > self.most:
            self.fail(f"{value} is more than {self.most:,.0f}.", param, ctx)
        return found


class Duration(Amount):
    """A duration in seconds, as people write it: `90`, `10m`, `2h30m`, `1d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Return the seconds; fails as click does."""
        if isinstance(value, str):
            from hyperhive_cli.core.times import text_to_seconds  # noqa: PLC0415 - most commands are given none

            try:
                value = text_to_seconds(value)
            except UsageError as error:
                self.fail(f"{error.message}: {error.hint}", param, ctx)
        return super().convert(value, param, ctx)


class Days(click.IntRange):
    """A number of days, or a duration of whole days: `7`, `7d`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Return the days; fails as click does."""
        days: Any = value.strip().lower().removesuffix("d") if isinstance(value, str) else value
        return super().convert(days, param, ctx)


class TimeOfDay(click.ParamType[str]):
    """A time of day, as `08:00`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - as click has it
        """Return the time with two digits for the hour; fails as click does."""
        found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", str(value).strip(), re.ASCII)
        if found is None:
            self.fail(f"not a valid time of day: {str(value)!r}: 08:00", param, ctx)
        return f"{int(found[1]):02d}:{found[2]}"


class Kept(click.ParamType[Retention]):
    """How long ended messages are kept."""

    name = "retention"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Return the `Retention`; fails as click does."""
        if isinstance(value, Retention):
            return value
        try:
            return Retention.from_text(str(value))
        except UsageError as error:
            self.fail(f"{error.message}: {error.hint}", param, ctx)


class Size(click.ParamType[int]):
    """A number of bytes, as people write it: `500MB`, `1GB`, `1.5GiB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Return the bytes; fails as click does."""
        try:
            return value if isinstance(value, int) else text_to_size(str(value))
        except UsageError as error:
            self.fail(f"{error.message}: {error.hint}", param, ctx)


class Count(click.IntRange):
    """A whole number of at least 1; sums of such numbers fit into a database."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - as click has it
        """Return the number; fails as click does."""
        found = super().convert(value, param, ctx)
        if found > MAX_FIGURE:
            self.fail(f"{value} is more than {MAX_FIGURE:,}.", param, ctx)
        return found


DOLLARS = Amount(min=0, min_open=True, most=1e9)
NUMBER = Count()
