"""The windows of an account's plan, in one file for all agents of the account on this machine.

It holds what claude last reported, and is not worth a wait or a failure: a file that cannot be read knows nothing, one
that cannot be written is left, and of two reports at the same moment one may be lost until the next.
"""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hyperhive_cli.core.errors import StoreError
from hyperhive_cli.core.files import read_file, write_file
from hyperhive_cli.core.quota import Reserve, Windows, json_to_windows, open_windows, windows_to_json
from hyperhive_cli.store.folder import check_state_dir, prepare_state_dir

_LIMIT_BYTES = 256 * 1024
_ACCOUNT = re.compile(r"[0-9a-f]{8,64}")  # a digest


def read_windows(folder: Path, account: str | None) -> Windows:
    """Return what is known of an account's windows; `folder` as in `AgentPaths.accounts`. Blocking, but short."""
    if account is None or _ACCOUNT.fullmatch(account) is None:
        return {}
    with suppress(OSError, StoreError, ValueError, RecursionError):
        check_state_dir(folder)
        return json_to_windows(json.loads(read_file(folder / f"{account}.json", _LIMIT_BYTES)))
    return {}


def keep_windows(folder: Path, account: str, windows: Windows) -> None:
    """Store them. Blocking, but short: it does not wait for the disk."""
    content = json.dumps(windows_to_json(windows), separators=(",", ":")).encode()
    with suppress(OSError, StoreError):
        prepare_state_dir(folder)
        write_file(folder / f"{account}.json", content, is_durable=False)


def read_quota(folder: Path, fact: Callable[[str], str | None], now_ms: int) -> tuple[list[dict[str, Any]], int]:
    """Return the `quota` field of `status --json`, and the `idle_from` of an inbox; `fact` as `Inbox.fact`."""
    now, account = now_ms / 1000, fact("account")
    if account is None:  # claude has never reported any
        return [], 0
    reserve, windows = Reserve.from_text(fact("reserve")), open_windows(read_windows(folder, account), now)
    hold = reserve.hold(windows, now)
    shown = [window.to_dict(now, reserve.share_of(kind)) for kind, window in sorted(windows.items())]
    return shown, 0 if hold is None else hold.until * 1000
