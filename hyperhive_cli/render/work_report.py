"""The report of an agent's work as lines of a terminal, Markdown or HTML. Pure: no I/O, no rich.

Others' words (messages, results, reasons) are text in each of them: cleaned, and escaped in Markdown and HTML.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hyperhive_cli.core.text import clean
from hyperhive_cli.render.document import escape_markdown, html_head
from hyperhive_cli.render.table import Span
from hyperhive_cli.transcript.report_sections import Line, Section, report_sections, report_summary, report_title

Found = Mapping[str, Any]
MORE = "more: hyperhive report --json"

_STYLE = """
body{max-width:46rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff}
h1{font-size:1.3rem}h2{font-size:1rem;margin:1.4rem 0 .3rem}
ul{margin:0;padding:0;list-style:none}li{position:relative;padding-left:1.4em;margin:.3rem 0;overflow-wrap:anywhere}
.sign{position:absolute;left:0;font-weight:600}
.quote,.advice,.quiet{color:#666}
.fine .sign{color:#287d3c}.warn .sign,li.warn.bare{color:#8a5a00}.bad .sign,li.bad.bare{color:#b3261e}
code{font-size:.9em}
@media (prefers-color-scheme:dark){body{color:#ddd;background:#181818}.quote,.advice,.quiet{color:#9a9a9a}
.fine .sign{color:#6fce86}.warn .sign,li.warn.bare{color:#e0a84a}.bad .sign,li.bad.bare{color:#ff8a80}}
"""
_CODE = re.compile(r"`([^`]+)`")


def report_to_spans(
    found: Found, *, most: int | None = None, addressed: Callable[[str], str] = str
) -> Iterator[list[Span]]:
    """Return the report line by line, each as spans of (text, style); `addressed` completes the commands of advice."""
    yield [(report_title(found), "head")]
    yield [(report_summary(found), "")]
    for section in report_sections(found, most=most):
        yield []
        yield [(section.title, "head")]
        for line in section.lines:
            yield from _line_to_spans(line, addressed)
        if section.more:
            yield [(f"  {section.more:,} {MORE}", "quiet")]


def _line_to_spans(line: Line, addressed: Callable[[str], str]) -> Iterator[list[Span]]:
    words = (clean(line.words), "" if line.sign else line.style)
    yield [("  ", ""), *([(line.sign, line.style), (" ", "")] if line.sign else []), words]
    for below in (*map(clean, line.quotes), *([addressed(line.advice)] if line.advice else [])):
        yield [("    ", ""), (below, "quiet")]


def report_to_markdown(found: Found, *, most: int | None = None) -> str:
    """Return the report as a Markdown document."""
    sections = (_section_to_markdown(section) for section in report_sections(found, most=most))
    head = f"# {escape_markdown(report_title(found))}\n\n{escape_markdown(report_summary(found))}\n"
    return "\n".join([head, *sections])


def _section_to_markdown(section: Section) -> str:
    lines = [f"## {section.title}\n"]
    for line in section.lines:
        sign = f"{line.sign} " if line.sign else ""
        below = [*map(escape_markdown, line.quotes), *([line.advice] if line.advice else [])]
        lines.append("\\\n  ".join([f"- {sign}{escape_markdown(line.words)}", *below]))
    if section.more:
        lines.append(f"- {section.more:,} {MORE}")
    return "\n".join(lines) + "\n"


def report_to_html(found: Found, *, most: int | None = None) -> str:
    """Return the report as an HTML document: no scripts, nothing from the network."""
    head, summary = html_head(report_title(found), _STYLE), html.escape(report_summary(found))
    sections = (_section_to_html(section) for section in report_sections(found, most=most))
    return f"{head}<p>{summary}</p>\n{''.join(sections)}</body></html>\n"


def _section_to_html(section: Section) -> str:
    items = [_line_to_html(line) for line in section.lines]
    if section.more:
        items.append(f'<li class="quiet">{section.more:,} {MORE}</li>\n')
    return f"<h2>{section.title}</h2>\n<ul>\n{''.join(items)}</ul>\n"


def _line_to_html(line: Line) -> str:
    sign = f'<span class="sign">{line.sign}</span>' if line.sign else ""
    quotes = "".join(f'<div class="quote">{html.escape(clean(quote))}</div>' for quote in line.quotes)
    advice = _CODE.sub(r"<code>\1</code>", html.escape(line.advice))
    below = quotes + (f'<div class="advice">{advice}</div>' if advice else "")
    mark = f"{line.style} bare" if line.style and not sign else line.style
    return f'<li class="{mark}">{sign}{html.escape(clean(line.words))}{below}</li>\n'
