"""The only web that a session's browser can reach: a few pages, served on the loopback.

Every host name is mapped to this server by the browser's own flag, so that nothing leaves
the machine and the address bar shows the same on each one. Each page tells the server
where its links lie, which is how ``state()`` knows them.
"""

from __future__ import annotations

import html
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from data_collection.desktops.scripted.apps.pages import (
    PAGES,
    START,
    Block,
    Heading,
    Links,
    Page,
    Paragraph,
)

_MOST_REPORT_BYTES = 64 << 10
_REPORT = """
function tell(){
  if (document.hidden) return;
  const links = [...document.links].map(a => { const r = a.getBoundingClientRect();
    return {label: a.textContent, address: a.href, rect: [r.x, r.y, r.width, r.height]}; });
  fetch('/here', {method: 'POST', body: JSON.stringify({address: location.href,
    title: document.title, links, inner: [innerWidth, innerHeight],
    outer: [outerWidth, outerHeight], scale: devicePixelRatio})}).catch(() => {});
}
for (const kind of ['load', 'pageshow', 'scroll', 'resize', 'focus']) addEventListener(kind, tell);
document.addEventListener('visibilitychange', tell);
"""
_STYLE = """
body{margin:0;font:15px "DejaVu Sans",sans-serif;color:#222;background:#fff}
h1{margin:0;padding:14px 18px;color:#fff;font-size:22px}
div{margin:12px 18px} b{display:inline-block;width:64px;height:34px;margin-right:10px}
p,nav{margin:12px 18px;line-height:1.45} a{color:#1a4fa3;margin-right:18px;line-height:1.9}
"""


class Site:
    """A web server on a free port of the loopback, with the newest report of each page."""

    def __init__(self, server: ThreadingHTTPServer, reports: dict[str, dict[str, Any]]) -> None:
        self._server = server
        self.reports = reports
        """What each page said last, by its title."""

    @property
    def port(self) -> int:
        """The port."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def serve() -> Site:
    """Start serving in a thread of its own."""
    reports: dict[str, dict[str, Any]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = f"http://{self.headers.get('Host', '')}{self.path}"
            page = PAGES.get(address)
            body = page_html(page if page else _nowhere(address)).encode()
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            if self.path == "/here" and size <= _MOST_REPORT_BYTES:
                report = json.loads(self.rfile.read(size))
                reports[report["title"]] = report
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    server = _QuietServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return Site(server, reports)


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that was killed in the middle of a request is no news."""


def page_html(page: Page) -> str:
    """Return a page as HTML that reports where its links lie."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">'
        f"<title>{html.escape(page.title)}</title><style>{_STYLE}</style>"
        f"{''.join(map(_block_html, page.blocks))}<script>{_REPORT}</script>"
    )


def _block_html(block: Block) -> str:
    if isinstance(block, Heading):
        return f'<h1 style="background:rgb{block.colour}">{html.escape(block.text)}</h1>'
    if isinstance(block, Paragraph):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Links):
        links = (
            f'<a href="{html.escape(to)}">{html.escape(label)}</a>' for label, to in block.links
        )
        return f"<nav>{''.join(links)}</nav>"
    swatches = (f'<b style="background:rgb{colour}"></b>' for colour in block.colours)
    return f"<div>{''.join(swatches)}</div>"


def _nowhere(address: str) -> Page:
    blocks = (
        Heading("Nothing here", (120, 120, 120)),
        Paragraph(f"There is no {address}."),
        Links((("Start page", START),)),
    )
    return Page("Nothing here", blocks)
