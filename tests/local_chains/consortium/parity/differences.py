"""The differences between the embedded engine's answers and a CometBFT node's, as docs/consortium-chain.md lists them.

Each difference has witnesses, requests whose answers do differ: one that nobody can see any more is to be taken off.
"""

from dataclasses import dataclass
from typing import Any, Final

from tests.local_chains.consortium.parity.calls import HEALTH, raw, rpc
from tests.local_chains.consortium.parity.pair import Answer
from tests.local_chains.consortium.parity.seen import NOT_OFFERED
from tests.local_chains.consortium.parity.transport import CODED, MULTIPART, Ask

Request = str | bytes | Ask


@dataclass(frozen=True)
class Difference:
    """`what` and `reason` are the two cells of the table. `exactly`: the sentences or names themselves differ, which
    are not compared elsewhere. Without witnesses a test of its own shows it."""

    what: str
    reason: str
    witnesses: tuple[Request, ...] = ()
    exactly: bool = False


DIFFERENCES: Final = (
    Difference(
        "`consensus_state`, `dump_consensus_state`, `broadcast_evidence` are not offered",
        "one process makes all blocks: no round is going on, and no vote contradicts another",
        tuple(request for name in NOT_OFFERED for request in (rpc(name, {}), rpc(name), rpc(name, []), name)),
    ),
    Difference("events about votes, rounds and evidence are not published", "as above"),
    Difference(
        "`net_info` and `node_info` have no listener, channels, or addresses",
        "nothing listens for peers",
        ("net_info", "status"),
        exactly=True,
    ),
    Difference(
        "a method's arguments left out altogether (no `params`) are taken as the defaults, and a chunk from 2⁶³ on is "
        "not there",
        "a real node fails inside, with `runtime error` or `reflect: Call with too few input arguments`",
        (
            b'{"jsonrpc":"2.0","id":1,"method":"block"}',
            b'{"jsonrpc":"2.0","id":1,"method":"abci_query"}',
            f"genesis_chunked?chunk={2**63}",
            f"genesis_chunked?chunk={2**64 - 1}",
        ),
    ),
    Difference(
        "the sentence that says what is wrong with an argument, a hash, a date, a body or with JSON",
        "Go's words for its types",
        (raw("block", '{"height":2}'), b"{", raw("tx_search", '{"query":"tx.hash=\'zz\'"}'), b"x" * 1_000_001),
        exactly=True,
    ),
    Difference(
        "an argument has at most 256 KiB, the query of `block_search` 512 bytes, JSON about 1,000 levels; a search "
        "reads a bounded number of blocks (below); a page of `block_search` has at most 32 MiB",
        "bounds",
        (
            rpc("check_tx", {"tx": "A" * 300_000}),
            raw("block_search", f'{{"query":"a.b=\'{"x" * 600}\'"}}'),
            b'{"id":1,"method":"block","params":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
        ),
    ),
    Difference(
        "a refusal before there is a request (an unknown HTTP method, spaces or other bytes than ASCII in its first "
        "line, headers of more than 8 KiB or 32 KiB together, too many connections) is a problem document",
        "the same as on all our servers",
        (
            Ask("FOO", "health"),
            Ask("GET", "a b"),
            Ask("GET", "/é"),
            Ask("GET", "health", headers=(("X-Long", "x" * 9_000),)),
        ),
    ),
    Difference(
        "a body is read in its `Content-Encoding` (gzip, deflate), and refused with a problem document if it is not in "
        "it",
        "the same as on all our servers; a real node takes the coded bytes for JSON",
        CODED,
    ),
    Difference("forms of the type `multipart/form-data` are not read", "no client sends arguments so", (MULTIPART,)),
    Difference(
        "a WebSocket's text that is not UTF-8 ends the connection",
        "RFC 6455 section 8.1; inside of JSON by POST it is replaced, as Go does",
    ),
    Difference(
        "no `Cache-Control`",
        "a chain for development may begin again behind the same address, and a browser would show the old one for a "
        "day",
        ("block?height=2", Ask("POST", "", rpc("block", {"height": "2"}))),
        exactly=True,
    ),
    Difference(
        "`check_tx` takes nothing in; on CometBFT it counts as waiting until the next block",
        "nodes do not distinguish it from a broadcast",
    ),
    Difference(
        "eight blocks' shares may wait, on CometBFT those of one block",
        "the embedded engine's mempool is its own, and takes exits out of the middle",
    ),
)


def exact(answer: Answer) -> Any:
    """All of an answer but what every answer has of its own."""
    headers = {name: value for name, value in answer.headers.items() if name == "Cache-Control"}
    return answer.status, headers, answer.body


def on_purpose(request: Request) -> bool:
    """Return true if the request is a witness of a difference that can be seen in what is compared."""
    return any(request in one.witnesses for one in DIFFERENCES if not one.exactly)


assert not on_purpose(HEALTH)
