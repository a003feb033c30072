"""Requests that are odd as HTTP: methods, paths, queries, forms, content types, bodies that are too large."""

from dataclasses import dataclass
from typing import Final

from tests.local_chains.consortium.parity.calls import HEALTH, raw, rpc

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Ask:
    """An HTTP request that is not a plain GET or POST; `target` without the first slash."""

    method: str
    target: str
    body: bytes = b""
    headers: Headers = ()


JSON: Final[Headers] = (("Content-Type", "application/json"),)
FORM: Final[Headers] = (("Content-Type", "application/x-www-form-urlencoded"),)
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
ELEVEN: Final = b"[" + b",".join([HEALTH] * 11) + b"]"
MAX_BODY: Final = 1_000_000
MULTIPART: Final = Ask(
    "POST",
    "block",
    b'--x\r\nContent-Disposition: form-data; name="height"\r\n\r\n2\r\n--x--\r\n',
    (("Content-Type", "multipart/form-data; boundary=x"),),
)
CODED: Final = tuple(Ask("POST", "", HEALTH, (*JSON, ("Content-Encoding", coding))) for coding in ("gzip", "br"))

ASKS: Final = [
    *(Ask(method, "", HEALTH, JSON) for method in METHODS),
    *(Ask(method, "health") for method in METHODS),
    *(Ask(method, "nope") for method in METHODS),
    *(
        Ask("POST", "", HEALTH, (("Content-Type", kind),))
        for kind in (
            *("text/plain", "application/xml", "application/json; charset=latin-1", "", "nonsense"),
            *("multipart/form-data; boundary=x", "application/x-www-form-urlencoded"),
        )
    ),
    Ask("POST", "", HEALTH, (*JSON, ("Content-Encoding", "identity"))),
    Ask("POST", "", HEALTH, (*JSON, ("Accept", "text/html"))),
    # Forms.
    Ask("POST", "block", b"height=2", FORM),
    Ask("POST", "block?height=3", b"height=2", FORM),
    Ask("POST", "block?height=", b"height=2", FORM),
    Ask("POST", "block", b"height=0x2", FORM),
    Ask("POST", "block", b"height=%32&height=3", FORM),
    Ask("POST", "block", b"height=%zz&height=3", FORM),
    Ask("POST", "block", b"height=\xff2", FORM),
    Ask("POST", "block", b"\xff=\xff&height=2", FORM),
    Ask("POST", "header_by_hash", b'hash="\xff"', FORM),
    Ask("POST", "block", b"", FORM),
    Ask("POST", "block", b"height=2", JSON),
    Ask("PUT", "block", b"height=2", FORM),
    Ask("PATCH", "block", b"height=2", (("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8"),)),
    Ask("DELETE", "block", b"height=2", FORM),
    Ask("GET", "block", b"height=2", FORM),
    Ask("POST", "tx_search", b"query=%22tx.height%3D3%22&prove=true", FORM),
    Ask("POST", "block", b"--x\r\nbroken", (("Content-Type", "multipart/form-data; boundary=x"),)),
    # A body of JSON goes to the root only.
    Ask("POST", "block", rpc("block", {"height": "2"}), JSON),
    Ask("POST", "nope", rpc("block", {"height": "2"}), JSON),
    Ask("POST", "block/", rpc("block", {"height": "2"}), JSON),
    Ask("POST", "subscribe", HEALTH, JSON),
    Ask("POST", "websocket", HEALTH, JSON),
    *(Ask("GET", "websocket", headers=headers) for headers in ((), (("Upgrade", "websocket"),), JSON)),
    # Paths.
    *(
        Ask("GET", target)
        for target in (
            *("/health", "./health", "x/../health", "health/.", "/", "/health?x=1", "../../health", "health//"),
            *("%68ealth", "block%3Fheight=2", "health%2F", "hea%zzlth", "%2F%2Fhealth", "%00", "%ff"),
            *("a[b]", "a{b", "//a[b]", "//a{b", "//a%2Fb", "//a%2Fb{", "//a!b'(c)*", "//a;b=$&+,:@", "a%0ab", "//%ff"),
            *("health/..", "..", "/x%20y", "/<x>", "//?height=2&x='y'"),
        )
    ),
    Ask("POST", "/", HEALTH, JSON),
    Ask("HEAD", "/health"),
    # Queries.
    *(
        f"block?{query}"
        for query in (
            *("height=2;x=1", "x=1;height=2", "height=%zz", "height=2&x=%zz", "height", "height=", "=2"),
            *("height=&height=2", "height==2", "&&height=2", "hei%67ht=2", "height=%32", "height=2+", "height=+2"),
            *("height=2%00", "height=%FF", "height=2&height=3", "height=%22%32%22", "height=2%20", "height=2%09"),
        )
    ),
    *('tx_search?query="tx.height=%FF"', 'tx_search?query="tx.height=3"&prove=maybe', "tx_search?query=0x74782e"),
    *('tx_search?query="tx.height=3"&prove=true', "tx_search?query=0x74782e6865696768743d33", "tx_search?query=7"),
    # Bodies.
    *(Ask("POST", target, b"x" * (MAX_BODY + 1), JSON) for target in ("", "health", "nope")),
    *(Ask("POST", "", b" " * size, JSON) for size in (MAX_BODY, MAX_BODY + 1)),
    *(Ask(method, target, ELEVEN, JSON) for method in ("GET", "POST") for target in ("", "health", "nope")),
    Ask("POST", "health", b"[7]", JSON),
    Ask("POST", "health", b"{", JSON),
    raw("tx_search", '{"query":"tx.height=3","prove":true}'),
]
