"""Results of tools that run at the API (server tools), as in `assistant` lines. Pure.

These are web search, web fetch, code execution and the connectors (`mcp_tool_use`). Their calls and results are blocks
of one `assistant` message; no `user` line contains them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hyperhive_cli.claude.sentences import MAX_TEXT, text_in
from hyperhive_cli.core.text import plural

MAX_PAGES = 50
_OWN_RESULT = "tool_result"  # of a tool that runs on this machine


@dataclass(frozen=True, slots=True)
class ServerResult:
    """A result, not cleaned: its text, a short label, and whether the tool failed."""

    text: str = ""
    label: str = ""
    failed: bool = False


def is_server_result(block: Mapping[str, Any]) -> bool:
    """Return True for a block with the result of a server tool, such as `web_search_tool_result`."""
    kind = block.get("type")
    return isinstance(kind, str) and kind.endswith(_OWN_RESULT) and kind != _OWN_RESULT


def server_result(block: Mapping[str, Any]) -> ServerResult:
    """Read a block with the result of a server tool."""
    content = block.get("content")
    if isinstance(content, Mapping):
        found = _of_object(content)
    else:
        pages = list(_pages(content))
        found = ServerResult("\n".join(pages), plural(len(pages), "page")) if pages else _plain(content)
    return ServerResult(found.text, found.label or "error", failed=True) if block.get("is_error") is True else found


def _of_object(content: Mapping[str, Any]) -> ServerResult:
    if error := _text(content.get("error_code")):
        return ServerResult(text_in(content.get("error_message")), error.replace("_", " ")[:60], failed=True)
    code = content.get("return_code")
    if "stdout" in content or "stderr" in content:
        text = "\n".join(filter(None, (_text(content.get(name)) for name in ("stdout", "stderr"))))
        failed = isinstance(code, int) and not isinstance(code, bool) and code != 0
        return ServerResult(text, f"exit {code}" if failed else "" if text else "no output", failed)
    if page := _page(content):
        document = content.get("content")
        source = document.get("source") if isinstance(document, Mapping) else None
        data = _text(source.get("data")) if isinstance(source, Mapping) and source.get("type") == "text" else ""
        return ServerResult(f"{page}\n{data}" if data else page)
    tools = content.get("tool_references")
    if isinstance(tools, list):
        names = [_text(one.get("tool_name")) for one in tools[:MAX_PAGES] if isinstance(one, Mapping)]
        return ServerResult(" ".join(filter(None, names)), f"{len(names)} found")
    return _plain(content)


def _plain(content: object) -> ServerResult:
    text = text_in(content)
    return ServerResult(text, "" if text else "no output")


def _pages(content: object) -> Iterator[str]:
    for one in content[:MAX_PAGES] if isinstance(content, list) else ():
        if isinstance(one, Mapping) and (page := _page(one)):
            yield page


def _page(found: Mapping[str, Any]) -> str:
    """Return the title and URL of a page, "" without a URL."""
    url, title = _text(found.get("url")), _text(found.get("title"))
    document = found.get("content")
    if not title and isinstance(document, Mapping):
        title = _text(document.get("title"))
    return f"{title} — {url}" if title and url else url


def _text(value: object) -> str:
    return value[:MAX_TEXT].strip() if isinstance(value, str) else ""
