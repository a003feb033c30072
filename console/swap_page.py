"""The page that people swap in: files and one JSON document, under `/swap` of a relayer or wherever they are hosted.

Everything else happens in the browser, by the TypeScript kit: keys are made and kept there, chains are asked from
there, and the relayer is not believed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from console.frame import HEADERS
from console.rendering import environment
from core.runtime.logging import get_logger
from core.runtime.version import VERSION

STATIC: Final = Path(__file__).resolve().parent / "static"
SWAP_FILES: Final = ("console.css", "swap.css", "built/swap.js")
ASK_EACH_TIME: Final = "no-cache"
"""A script and the document that it reads are of one version: browsers ask, and are answered 304."""

log = get_logger("console.swap_page")


def missing_swap_files() -> list[str]:
    """The files that have to be built and are not there."""
    return [one for one in SWAP_FILES if not (STATIC / one).exists()]


def policy_of(origins: Sequence[str]) -> str:
    """The Content-Security-Policy: nothing inline, nothing from elsewhere, and only these `origins` are asked."""
    asked = " ".join(("'self'", *sorted(set(origins))))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src {asked}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def swap_page(document: Mapping[str, Any], origins: Sequence[str], name: str) -> web.Application:
    """The application to mount at `/swap`. `document` is what the page reads (docs/dapps/swap-page.md), `origins` the
    nodes that it asks."""
    headers = {
        **HEADERS,
        "Content-Security-Policy": policy_of(origins),
        # Wallets that are pages of their own open windows, and answer through them.
        "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
        "Permissions-Policy": "publickey-credentials-create=(self), publickey-credentials-get=(self)",
    }
    text = environment(VERSION).get_template("swap_page.html").render(brand=name)
    raw = msgspec.json.encode(document)

    async def page(_: web.Request) -> web.Response:
        response = web.Response(text=text, content_type="text/html", headers=headers)
        response.enable_compression()
        return response

    async def facts(_: web.Request) -> web.Response:
        return web.Response(body=raw, content_type="application/json", headers=headers)

    async def file(request: web.Request) -> web.StreamResponse:
        wanted = request.match_info["file"]
        if wanted not in SWAP_FILES:
            raise web.HTTPNotFound()
        kept = {"Cache-Control": ASK_EACH_TIME, "X-Content-Type-Options": "nosniff"}
        return web.FileResponse(STATIC / wanted, headers=kept)

    app = web.Application()
    app.router.add_routes([web.get("/", page), web.get("/page.json", facts), web.get("/static/{file:.+}", file)])
    return app


def mount_swap_page(app: web.Application, document: Mapping[str, Any], origins: Sequence[str], name: str) -> None:
    """Serve the page under `/swap` of a relayer's API, if its scripts were built."""
    if missing := missing_swap_files():
        log.warning("no swap page: build its scripts with `make console`", missing=missing)
        return

    async def to_page(_: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": "/swap/"})

    # Before the page itself, which takes every path that begins so.
    app.router.add_get("/swap", to_page)
    app.add_subapp("/swap", swap_page(document, origins, name))
