"""Escaping of characters that control a terminal or reorder its text.

Apart from core/text.py, which imports `datetime`: every command needs this module, and few need that one (2 ms).
"""

import re

# C0 except tab and newline, DEL, C1; bidi marks, embeddings, overrides and isolates; the line and paragraph
# separators, which some terminals and `splitlines` treat as line ends; lone surrogates, which UTF-8 cannot encode.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str) -> str:
    r"""Return `text` with each unsafe character as a JSON escape (`\u001b`); CR LF becomes a newline."""
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\r\n", "\n"))


def escape_bytes(data: bytes) -> bytes:
    """Apply `escape` to whole lines of UTF-8; bytes that are not UTF-8 are escaped too."""
    return escape(data.decode("utf-8", "surrogateescape")).encode()
