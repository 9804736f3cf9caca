"""`Assets`: the page and its files, under addresses that change with their content, so that browsers keep them forever.

`/static/HASH/js/X.js` is the module X joined with those of ours that it imports, `/static/HASH/css/all.css` all style
sheets, and any other file is as it is. Without the HASH each file is served as it lies there. The page itself is asked
for each time, and sent if it has changed.
"""

import hashlib
import mimetypes
import re
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hyperhive_cli.web.joined import join_script, join_styles
from hyperhive_cli.web.responses import accepts_gzip, pack

PAGE, STYLES = "index.html", "css/all.css"
BEST = 9  # of gzip: each file is compressed once
FOREVER = "public, max-age=31536000, immutable"
_HASHED = re.compile(r"(?P<hash>[0-9a-f]{16})/(?P<path>.+)", re.DOTALL)
_MEDIA = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
_TEXTS = ("text/", "image/svg", "application/manifest", "application/json")


class Asset(NamedTuple):
    """The content of an answer, and the same with gzip, None if that is not worth it."""

    body: bytes
    packed: bytes | None
    media_type: str


class Assets:
    """The files of a folder, read once; blocking where it is not async. Raises JoinError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Asset] = {}

    # --- what there is ---

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The content of each file, by its path."""
        found = (path for path in sorted(self._folder.rglob("*")) if path.is_file())
        return {path.relative_to(self._folder).as_posix(): path.read_bytes() for path in found}

    @cached_property
    def hash(self) -> str:
        """What changes with the content of any file."""
        found = hashlib.sha256()
        for path, content in self.files.items():
            found.update(f"{path} {len(content)} ".encode() + content)
        return found.hexdigest()[:16]

    @cached_property
    def _page_and_styles(self) -> tuple[str, str]:
        texts = {path: content.decode() for path, content in self.files.items() if path.endswith(".css")}
        page, styles = join_styles(self.files[PAGE].decode(), STYLES, texts)
        return page.replace('="/static/', f'="/static/{self.hash}/'), styles

    def page(self, prefix: str) -> Asset:
        """Return the page for a proxy's `prefix`."""
        return self._kept(f"page {prefix}", partial(self._make_page, prefix))

    def _make_page(self, prefix: str) -> tuple[bytes, str]:
        page, _ = self._page_and_styles
        if prefix:
            page = page.replace('="/', f'="{prefix}/').replace("<html ", f'<html data-prefix="{prefix}" ', 1)
        return page.encode(), "text/html; charset=utf-8"

    def file(self, path: str, *, joined: bool) -> Asset | None:
        """Return a file, `joined` with what it imports; None if there is none."""
        is_made = joined and (path == STYLES or path.startswith("js/"))
        if not is_made:
            return self._kept(path, lambda: (self.files[path], _media_type(path))) if path in self.files else None
        if path != STYLES and path not in self.files:
            return None
        return self._kept(f"joined {path}", partial(self._join, path))

    def _join(self, path: str) -> tuple[bytes, str]:
        text = self._page_and_styles[1] if path == STYLES else join_script(path, self._text)
        return text.encode(), _media_type(path)

    def _text(self, path: str) -> str:
        return self.files[path].decode()

    def _kept(self, key: str, make: Callable[[], tuple[bytes, str]]) -> Asset:
        if key not in self._made:
            body, media_type = make()
            packed = pack(body, BEST) if media_type.startswith(_TEXTS) else None
            self._made[key] = Asset(body, packed, media_type)
        return self._made[key]

    # --- serving ---

    async def serve_page(self, request: Request) -> Response:
        """Answer with the page, or that it is still the one that the browser has."""
        if not (self._folder / PAGE).is_file():
            raise HTTPException(404, "the page is not installed")
        asset = await run_sync(self.page, request.state.prefix)
        tag = f'"{hashlib.sha256(asset.body).hexdigest()[:16]}"'
        headers = {"Cache-Control": "no-cache", "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return _response(request, asset, headers)

    async def serve_file(self, request: Request) -> Response:
        """Answer with a file. One of another version's address, of a page that is still open, is as it is now."""
        path = request.path_params["path"]
        hashed = _HASHED.fullmatch(path)
        asset = await run_sync(partial(self.file, hashed["path"] if hashed else path, joined=hashed is not None))
        if asset is None:
            raise HTTPException(404, "there is no such file")
        is_current = hashed is not None and hashed["hash"] == self.hash
        return _response(request, asset, {"Cache-Control": FOREVER} if is_current else {})


def _response(request: Request, asset: Asset, headers: dict[str, str]) -> Response:
    headers |= {"Vary": "Accept-Encoding"}
    if asset.packed is not None and accepts_gzip(request.headers):
        return Response(asset.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.body, headers=headers, media_type=asset.media_type)


def _media_type(path: str) -> str:
    suffix = Path(path).suffix
    return _MEDIA.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
