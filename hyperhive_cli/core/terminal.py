"""What no terminal may be sent but by us: characters that steer it or reorder its text, and how they are shown."""

import re

# C0 but tab and newline, DEL, C1; the bidi marks, embeddings, overrides and isolates; the line and
# paragraph separators, which some terminals and `splitlines` take for line ends; lone surrogates,
# which no UTF-8 terminal can be sent.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]",
)


def escape(text: str) -> str:
    r"""Return `text` with each of these as `\u001b`, which a string of JSON may hold; CR LF becomes a newline."""
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\r\n", "\n"))


def escape_bytes(data: bytes) -> bytes:
    """Return whole lines of UTF-8, as `escape`; what is not UTF-8 is escaped too."""
    return escape(data.decode("utf-8", "surrogateescape")).encode()
