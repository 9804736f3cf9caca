"""Validation of messages. Pure."""

from hyperhive_cli.core.errors import UsageError
from hyperhive_cli.core.settings import MESSAGE_LIMIT_BYTES, SENDER_LIMIT_CHARS


def check_message(sender: str, body: str) -> tuple[str, str]:
    """Return sender and body in the form to store; raises UsageError if they are not valid."""
    text = body.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not text.strip():
        raise UsageError("a message must not be empty", "hyperhive send 'what to do'")
    size_bytes = len(text.encode())
    if size_bytes > MESSAGE_LIMIT_BYTES:
        raise UsageError(
            f"a message has at most {MESSAGE_LIMIT_BYTES:,} bytes, this one has {size_bytes:,}",
            "put the text into a file of the workspace and name it in the message",
        )
    name = sender.strip()
    if not name or not name.isprintable() or len(name) > SENDER_LIMIT_CHARS:
        raise UsageError(
            f"{sender!r} is not a valid sender name", f"use one line of 1 to {SENDER_LIMIT_CHARS} characters"
        )
    return name, text
