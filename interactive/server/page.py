"""The dashboard: a fixed list of files, served as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Response

FOLDER = Path(__file__).parent.parent / "dashboard"

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/chart.js": ("chart.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""File and media type by address. They hold no data, so they need no token."""


def create_page_router(folder: Path = FOLDER) -> APIRouter:
    """Return the routes of the dashboard's files."""
    router = APIRouter(include_in_schema=False)
    for address, (name, media_type) in FILES.items():
        router.add_api_route(address, _reader(folder / name, media_type), methods=["GET"])
    return router


def _reader(path: Path, media_type: str) -> Callable[[], Response]:
    def read() -> Response:
        headers = {"Cache-Control": "no-cache"}
        return Response(path.read_bytes(), media_type=media_type, headers=headers)

    return read
