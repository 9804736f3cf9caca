"""Text that is safe for a terminal, and short forms of numbers and times. Pure: no I/O, no rich.

The strings of an event come from claude, its tools and the senders of messages. A terminal obeys escape sequences in
them (title, clipboard, colours, cursor) and reorders text at bidi controls. `clean` makes all of these visible. Every
function takes values of any JSON type and never raises.
"""

import re
from datetime import datetime

from hyperhive_cli.core.settings import MAX_FIGURE
from hyperhive_cli.core.terminal import UNSAFE

_BLANKS = re.compile(r"\s+")
_NOT_BLANK = re.compile(r"\S")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def clean(text: str) -> str:
    r"""Return `text` with every character that could control a terminal as a visible escape (`\x1b`, `\u202e`).

    Newlines and tabs stay; CR LF becomes a newline. Idempotent.
    """
    return UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def text_of(value: object) -> str:
    """Return a JSON value as cleaned text: a string in full, None as "", anything else as `brief` does."""
    if isinstance(value, str):
        return clean(value)
    return "" if value is None else brief(value)


def brief(value: object, limit: int = 60) -> str:
    """Return any JSON value as one short line; containers as their size: `{3 keys}`, `[2 items]`."""
    if isinstance(value, str):
        return one_line(value, limit)
    if isinstance(value, dict):
        return f"{{{plural(len(value), 'key')}}}"
    if isinstance(value, list | tuple):
        return f"[{plural(len(value), 'item')}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    figure = number(value)
    # str() raises for an int of more than 4,300 digits.
    return "a huge number" if figure is None else str(value)


def one_line(text: str, limit: int) -> str:
    """Return `text` cleaned, on one line, in at most `limit` characters; reads only its beginning."""
    head = text[: limit * 2 + 200]
    line = _BLANKS.sub(" ", clean(head)).strip()
    if len(line) <= limit and len(head) == len(text):
        return line
    return line[: limit - 1].rstrip() + "…"


def head_lines(text: str, limit: int, width: int = 400) -> tuple[list[str], int]:
    """Return the first `limit` lines of `text`, cleaned, and how many more there are.

    If only one more line remains, it is included: `+1 line` would take as much room. Blank lines around the text are
    dropped. Only the returned part of a long text is copied.
    """
    start = len(text) - len(text.lstrip("\n")) if text.startswith("\n") else 0
    end = len(text)
    while end > start and text[end - 1] in "\n\r \t":
        end -= 1
    if start >= end:
        return [], 0
    total = text.count("\n", start, end) + 1
    wanted = total if total <= limit + 1 else limit
    lines: list[str] = []
    for _ in range(wanted):
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        cut = "…" if stop - start > width else ""
        lines.append(clean(text[start : min(stop, start + width)].rstrip("\r")) + cut)
        start = stop + 1
    return lines, total - wanted


def outer_parts(text: str, head: int, tail: int) -> tuple[str, int, str]:
    """Return the parts of `text` with its first `head` and its last `tail` lines, and how many lines lie between them.

    Blank lines do not count as first or last. The first part is the whole text if no more than one line would be left
    out.
    """
    starts, at = list[int](), _NOT_BLANK.search(text)
    while at is not None and len(starts) < head + tail + 2:
        starts.append(text.rfind("\n", 0, at.start()) + 1)
        stop = text.find("\n", at.start())
        at = None if stop < 0 else _NOT_BLANK.search(text, stop)
    if len(starts) < head + tail + 2:
        return text, 0, ""
    rest, end = starts[head], len(text)
    for _ in range(tail):
        end = text.rfind("\n", rest, _stripped_end(text, end)) + 1
    return text[starts[0] : rest], text.count("\n", rest, _stripped_end(text, end)) + 1, text[end:]


def _stripped_end(text: str, end: int) -> int:
    while text[end - 1].isspace():  # the caller knows of a character that is not
        end -= 1
    return end


def number(value: object) -> float | None:
    """Return `value` as a finite number of plausible size, None for anything else (bools too)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -MAX_FIGURE < value < MAX_FIGURE else None


def count(value: object) -> int:
    """Return `value` as a non-negative integer, 0 for anything else."""
    figure = number(value)
    return max(0, int(figure)) if figure is not None else 0


def tokens(value: object) -> str:
    """Format a number of tokens: `842`, `12.3k`, `76k`, `1.2M`."""
    figure = count(value)
    if figure < 1000:
        return str(figure)
    return _scaled(figure / 1000, "k") if figure < 999_500 else _scaled(figure / 1_000_000, "M")


def size(value: object) -> str:
    """Format a number of bytes: `842 B`, `12.3 KiB`, `2 MiB`."""
    figure, unit = float(count(value)), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if figure < 1000:
            break
        figure, unit = figure / 1024, larger
    return _scaled(figure, f" {unit}") if unit != "B" else f"{int(figure)} B"


def _scaled(figure: float, unit: str) -> str:
    shown = f"{figure:.1f}" if figure < 99.95 else f"{figure:.0f}"
    return shown.removesuffix(".0") + unit


def duration(seconds: object) -> str:
    """Format a duration: `0.8s`, `12s`, `3m 04s`, `2h 05m`, `3d 04h`; "" if it is not a number."""
    figure = number(seconds)
    if figure is None:
        return ""
    if figure < 9.95:
        return f"{max(0.0, figure):.1f}s"
    whole = round(figure)
    minutes, secs = divmod(whole, 60)
    hours, mins = divmod(minutes, 60)
    days, hrs = divmod(hours, 24)
    if days:
        return f"{days}d {hrs:02d}h"
    if hours:
        return f"{hours}h {mins:02d}m"
    return f"{minutes}m {secs:02d}s" if minutes else f"{whole}s"


def ago(seconds: object) -> str:
    """Format the age of something: `just now`, `42 s ago`, `3 min ago`, `5 h ago`, `2 days ago`."""
    figure = count(seconds)
    for limit, unit_s, unit in ((10, 0, ""), (60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if figure < limit:
            return f"{figure // unit_s} {unit} ago" if unit_s else "just now"
    return f"{plural(figure // 86_400, 'day')} ago"


NO_TIME = "at no known time"


def local_time(at: float) -> datetime | None:
    """Return a time in Unix seconds as local time; None if it is out of range."""
    try:
        return datetime.fromtimestamp(at)  # noqa: DTZ006 - local, for a person
    except (OverflowError, ValueError, OSError):
        return None


def iso_time(at: float) -> str | None:
    """Format a time in Unix seconds for programs, with the local zone's offset: `2026-11-30T14:02:30+00:00`."""
    then = local_time(at)
    return None if then is None else then.astimezone().isoformat(timespec="seconds")


def ahead(at: float, now: float) -> str:
    """Format a future time (Unix seconds) as local time and distance: `Fri 14:00 (in 2d 03h)`.

    The weekday is left out for today and replaced by the date from a week ahead on.
    """
    then = moment(at, now)
    return then if then == NO_TIME else f"{then} (in {duration(at - now)})"


def moment(at: float, now: float) -> str:
    """Format a time (Unix seconds) as local time, with the day as in `ahead`; one that is past has the date."""
    then, today = local_time(at), local_time(now)
    if then is None or today is None:
        return NO_TIME
    days = (then.date() - today.date()).days
    day = f"{_DAYS[then.weekday()]} " if 0 < days < 7 else f"{then.day:02d} {_MONTHS[then.month - 1]} " if days else ""
    return f"{day}{then:%H:%M}"


# Independent of the locale, like the page.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def clock(seconds: object) -> str:
    """Format elapsed seconds as a clock: `0:07`, `12:30`, `1:05:09`."""
    minutes, secs = divmod(count(seconds), 60)
    hours, mins = divmod(minutes, 60)
    return f"{hours}:{mins:02d}:{secs:02d}" if hours else f"{mins}:{secs:02d}"


def dollars(value: object) -> str:
    """Format US dollars: `$0.0007`, `$1.24`; "" for none."""
    figure = number(value)
    if figure is None or figure <= 0:
        return ""
    if figure < 0.00005:
        return "<$0.0001"
    return f"${figure:,.2f}" if figure >= 0.1 else f"${figure:.4f}"


def percent(share: float | None) -> str:
    """Return a share as `95%`; 100% and 0% mean exactly that."""
    if share is None:
        return "-"
    return f"{share:.0%}" if share in {0.0, 1.0} else f"{min(99, max(1, round(share * 100)))}%"


def share_of(used: float | None, whole: float | None) -> float | None:
    """Return how full something is, from 0 to 1; None if one of the figures is not known."""
    return None if used is None or not whole else max(0.0, min(1.0, used / whole))


def plural(value: int, word: str) -> str:
    """Format a count with its noun: `1 tool`, `4 tools`."""
    return f"{value:,} {word}" if value == 1 else f"{value:,} {word}s"
