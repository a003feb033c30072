"""Reading as Go reads, where Python's libraries refuse: broken text in JSON (`encoding/json`), forms and paths
(`net/url`, `net/http`)."""

import html
import re
from posixpath import normpath
from typing import Final
from urllib.parse import quote, unquote_to_bytes

MAX_PAIRS: Final = 1_000
"""Of a query or a form; further ones are not read."""
_REPLACEMENT: Final = "\ufffd"
_ESCAPES: Final = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_MAY_BE_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_STRAY_BYTE: Final = re.compile("[\udc80-\udcff]")
_VALID_PATH: Final = re.compile(r"[-\w.~!$&'()*+,;=:@\[\]%/]*", re.ASCII)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def repaired(raw: bytes) -> bytes:
    """JSON in which every byte that is not UTF-8, and every half of a surrogate pair, is U+FFFD."""
    if _MAY_BE_HALF.search(raw):
        raw = _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], raw)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return _STRAY_BYTE.sub(_REPLACEMENT, raw.decode(errors="surrogateescape")).encode()
    return raw


def pairs(text: str) -> dict[str, str]:
    """The first value of each name in a query or a form. A pair with `;` or a broken escape is left out."""
    found: dict[str, str] = {}
    for pair in text.split("&", MAX_PAIRS)[:MAX_PAIRS]:
        if pair and ";" not in pair and not _BAD_ESCAPE.search(pair):
            name, _, value = pair.partition("=")
            found.setdefault(_plain(name), _plain(value))
    return found


def _plain(text: str) -> str:
    # Bytes that are not UTF-8 stay what they are until JSON is read from them.
    raw = text.replace("+", " ").encode(errors="surrogateescape")
    return unquote_to_bytes(raw).decode(errors="surrogateescape")


def path_of(raw: str) -> str | None:
    """The path of a request without its escapes. None if one of them is broken."""
    if _BAD_ESCAPE.search(raw):
        return None
    return unquote_to_bytes(raw).decode(errors="surrogateescape")


def redirection(raw: str, path: str, query: str) -> str | None:
    """The address that Go's `http.ServeMux` redirects to, escapes escaped again: for a path with empty parts, `.` or
    `..`. None if the path is in order. `raw` is the path as it was sent, `path` without its escapes."""
    escaped = raw if _VALID_PATH.fullmatch(raw) else _escaped(path)
    clean = normpath("/" + escaped.lstrip("/"))
    if escaped.endswith("/") and clean != "/":
        clean += "/"
    return None if clean == escaped else _escaped(clean) + (f"?{query}" if query else "")


def _escaped(path: str) -> str:
    return quote(path.encode(errors="surrogateescape"), safe="$&+,/:;=@~")


def html_text(text: str) -> str:
    """Return the text for a page (Go's `html.EscapeString`)."""
    return html.escape(text, quote=False).replace("'", "&#39;").replace('"', "&#34;")
