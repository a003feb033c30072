"""The parts of two nodes' answers that are compared: status, kind of body, every name and value.

Sides have names of their own for what differs by nature (`Engine.known`). What belongs to blocks after `Pair.height`
is compared by its kind, since the two sides go on at their own pace.
"""

import base64
import json
import re
from typing import Any, Final

from core.model.consortium import transaction_hash
from tests.local_chains.consortium.parity.pair import HASHLOCK, NEW, PREIMAGE, TRANSACTIONS, Answer, Engine
from tests.local_chains.consortium.support import ANN, BEN, ISSUER

HEADERS: Final = ("Content-Type", "Location")
NOT_OFFERED: Final = ("consensus_state", "dump_consensus_state", "broadcast_evidence")
NAMED_OTHERWISE: Final = ("listen_addr", "rpc_address", "channels", "moniker", "listening", "listeners", "block_size")
"""Members that differ: a node's name and ports for peers, and sizes, which vary with times and signatures."""
MAX_SENTENCE_CHARS: Final = 300
GROWING: Final = (
    "height",
    "tx.height",
    "block_height",
    "last_height",
    "latest_block_height",
    "last_block_height",
    "total_count",
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_LONG_HEX: Final = re.compile(r"[0-9A-Fa-f]{40,}")
_LONG_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{27,}=*")
_CLOCK: Final = re.compile(r"AAAB[A-Za-z0-9+/]{7}=")
_NUMBER: Final = re.compile(r"\d+")
WORDS: Final = {
    "error during searching for a hash": "not a hash",
    "error converting json params": "a wrong argument",
}
"""Sentences that go on in Go's words, by how they begin."""
GO: Final = re.compile(r"(.*)(invalid (?:TIME|DATE) value: ).*")
SAME: Final = frozenset(
    [
        *(transaction_hash(raw).hex().upper() for group in (*TRANSACTIONS, (NEW,)) for raw in group),
        *(base64.b64encode(raw).decode() for group in (*TRANSACTIONS, (NEW,)) for raw in group),
        *(one.address.hex() for one in (ANN, BEN, ISSUER)),
        HASHLOCK.hex(),
        PREIMAGE.hex(),
    ]
)
"""Long texts that mean the same on both sides."""


class Seen:
    """The comparable form of one side's answers."""

    def __init__(self, engine: Engine, height: int) -> None:
        self._known = engine.known
        self._same = engine.same
        self._height = height

    def answer(self, answer: Answer) -> Any:
        head = answer.status, *(answer.headers.get(name) for name in HEADERS)
        try:
            envelope = json.loads(answer.body)
        except ValueError:
            return *head, self.page(answer.body.decode(errors="replace"))
        shown = [self.envelope(one) for one in envelope] if isinstance(envelope, list) else self.envelope(envelope)
        return *head, shown

    def page(self, text: str) -> Any:
        """The links of a page, or a text as it is."""
        links = re.findall(r'href="//[^/]*/([^"]*)"', text)
        return [link for link in links if not link.startswith(NOT_OFFERED)] or text

    def envelope(self, envelope: Any) -> Any:
        if not isinstance(envelope, dict) or "jsonrpc" not in envelope:
            return self.value(envelope)
        error = envelope.get("error")
        around = {name: value for name, value in envelope.items() if name != "error"}
        shown: dict[str, Any] = {name: self.value(value) for name, value in around.items()}
        if error is not None:
            data = str(error.get("data", ""))
            # The sentence about an argument is in Go's words.
            kept = self.sentence(data) if error.get("code") == -32603 else bool(data)
            shown["error"] = {**error, "data": kept}
        return shown

    def sentence(self, text: str) -> str:
        for prefix, meaning in WORDS.items():
            if text.startswith(prefix):
                return meaning
        text = GO.sub(r"\1\2", text)
        text = _LONG_HEX.sub(lambda found: self.text(found[0]), text)
        return _NUMBER.sub(self._number, text)[:MAX_SENTENCE_CHARS]

    def value(self, value: Any, name: str = "") -> Any:
        if name in NAMED_OTHERWISE:
            return type(value).__name__
        if isinstance(value, dict):
            return {one: self.value(inner, one) for one, inner in sorted(value.items())}
        if isinstance(value, list):
            return [self.value(inner, name) for inner in value if _height_of(inner) <= self._height]
        if name == "value" and isinstance(value, str) and _CLOCK.fullmatch(value):
            return self._known.get(value, "a clock")
        if name == "log":
            return self.sentence(value)
        if name in GROWING and str(value).isdigit():
            return _NUMBER.sub(self._number, str(value))
        return self.text(value) if isinstance(value, str) else value

    def text(self, text: str) -> str:
        if text in self._known:
            return self._known[text]
        if _TIME.fullmatch(text):
            return "a time"
        if text in SAME or text in self._same:
            return text
        if _LONG_HEX.fullmatch(text):
            return f"{len(text)} hex digits"
        return f"{len(text)} of base64" if _LONG_BASE64.fullmatch(text) else text

    def _number(self, found: re.Match[str]) -> str:
        return found[0] if int(found[0]) <= self._height else "a later height"


def _height_of(item: Any) -> int:
    """The height that an item of a list belongs to, 0 for none."""
    if not isinstance(item, dict):
        return 0
    header = item.get("header") or (item.get("block") or {}).get("header")
    height = header["height"] if header else item.get("height", "0")
    return int(height) if isinstance(height, str) and height.isdigit() else 0
