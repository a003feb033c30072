"""Any bytes in what a node passes on from others, and any bytes at all: no exception that ends the node."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import strategies as st

from core.model.consortium import Claim, Lock, Transfer, WriteRecord, encode_clock, quantity
from core.model.errors import FatalError
from core.proofs.cometbft.types import KeyKind, PublicKey
from core.proofs.errors import MalformedProofError
from core.proofs.protobuf import bytes_field, delimited, message_field, varint, varint_field
from core.runtime.clock import ManualClock
from local_chains.consortium.engine.abci import messages
from local_chains.consortium.engine.abci.application import LedgerApplication, open_application
from local_chains.consortium.engine.abci.server import next_message
from local_chains.consortium.engine.home import create_genesis, parse_genesis
from local_chains.consortium.state.snapshots import FORMAT, Snapshot
from tests.local_chains.consortium.abci import node
from tests.local_chains.consortium.abci.test_application import START_MS, make_home
from tests.local_chains.consortium.fuzzing import fuzz
from tests.local_chains.consortium.support import ANN, BEN, CHAIN

SEEDS: Final = (
    ANN.signed(0, Transfer("cnyd", BEN.address, quantity(1))),
    ANN.signed(0, WriteRecord("n", "k", b'{"a": [1]}')),
    ANN.signed(0, Lock("cnyd", quantity(1), BEN.address, bytes(32), 2_000_000_000), Claim(ANN.address, bytes(32))),
    BEN.signed(0, *[Transfer("cnyd", ANN.address, quantity(1))] * 5),
)
CLOCKS: Final = (encode_clock(START_MS + 1_000), encode_clock(START_MS + 1_001), encode_clock(1))


def damaged(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """One of them with some bytes changed, left out or put in."""

    def change(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
        changed = bytearray(raw)
        for place, length, bytes_ in edits:
            start = place % (len(changed) + 1)
            changed[start : start + length] = bytes_
        return bytes(changed)

    edit = st.tuples(st.integers(0, 400), st.integers(0, 4), st.binary(max_size=4))
    return st.builds(change, st.sampled_from(seeds), st.lists(edit, max_size=3))


raw = st.one_of(st.binary(max_size=200), damaged(SEEDS), st.sampled_from(SEEDS))
entries = st.one_of(
    st.lists(raw, max_size=6),
    st.tuples(st.one_of(st.sampled_from(CLOCKS), damaged(CLOCKS)), st.lists(raw, max_size=6)).map(
        lambda pair: [pair[0], *pair[1]]
    ),
    st.tuples(raw, st.integers(0, 20_000)).map(lambda pair: [pair[0]] * pair[1]),
)
integers = st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1))
hashes = st.one_of(st.just(bytes(32)), st.binary(max_size=40))
snapshot = st.builds(
    lambda height, kind, chunks, name, metadata: messages.encode_snapshot(
        Snapshot(height, kind, chunks, name, metadata)
    ),
    integers,
    integers,
    integers,
    hashes,
    st.binary(max_size=100),
)

LEAVES: Final = msgspec.msgpack.encode([(b"a", b"1"), (b"b", b"2" * 40), (b"c", b"3")])


def synced(chunks: list[bytes], app_hash: bytes, sender: str, swapped: bool) -> list[tuple[int, bytes]]:
    """A newcomer's requests while it takes a peer's chunks, which are those that the peer described."""
    metadata = b"".join(hashlib.sha256(chunk).digest() for chunk in chunks)
    offered = Snapshot(5, FORMAT, len(chunks), hashlib.sha256(metadata).digest(), metadata)
    taken = list(enumerate(chunks[::-1] if swapped else chunks))
    return [
        (14, node.offer_snapshot(messages.encode_snapshot(offered), app_hash)),
        *((16, node.apply_snapshot_chunk(index, chunk, sender)) for index, chunk in taken),
    ]


syncing = st.builds(
    synced,
    st.lists(st.one_of(damaged((LEAVES, LEAVES[:1], b"\xdd\xff\xff\xff\xff")), st.binary(max_size=60)), max_size=3),
    st.binary(min_size=32, max_size=32),
    st.text(max_size=10),
    st.booleans(),
)

# What comes from clients and peers, in requests that a node makes itself.
requests: Final = st.one_of(
    st.builds(lambda tx, again: (9, node.check_tx(tx, again)), raw, st.booleans()),
    st.builds(lambda txs, most: (17, node.prepare_proposal(txs, most, 1)), st.lists(raw, max_size=6), integers),
    st.builds(lambda txs, name: (18, node.process_proposal(txs, 1, name)), entries, hashes),
    st.builds(lambda txs, name: (21, node.finalize_block(txs, 1, name)), entries, hashes),
    st.builds(
        lambda key, path, height, prove: (
            7,
            message_field(
                6,
                message_field(1, key)
                + message_field(2, path)
                + varint(3 << 3)
                + varint(height)
                + varint(32)
                + varint(prove),
            ),
        ),
        st.binary(max_size=80),
        st.one_of(st.sampled_from([b"/store", b"/key", b"", b"/ics23"]), st.binary(max_size=20)),
        integers,
        st.integers(0, 1),
    ),
    st.builds(lambda offered, app_hash: (14, node.offer_snapshot(offered, app_hash)), snapshot, hashes),
    st.builds(lambda *where: (15, node.load_snapshot_chunk(*where)), integers, integers, integers),
    st.builds(
        lambda extension: (20, message_field(19, message_field(4, extension) if extension else b"")),
        st.binary(max_size=50),
    ),
    st.builds(lambda text: (2, message_field(1, message_field(1, text))), st.binary(max_size=50)),
)
conversations: Final = st.one_of(requests.map(lambda pair: [pair]), syncing)
GENESIS: Final = create_genesis(CHAIN, START_MS * 1_000_000, [(PublicKey(KeyKind.ED25519, bytes(32)), bytes(32), 1)])
MISBEHAVIOUR: Final = message_field(
    3, varint_field(1, 1) + message_field(2, bytes_field(1, bytes(20)) + varint_field(3, 10)) + varint_field(3, 1)
)
"""The duplicate vote of a validator, in a block."""
QUESTIONS: Final = (
    *(node.echo("x"), node.flush(), node.info(), node.list_snapshots(), message_field(18, b""), node.query(b"clock")),
    node.init_chain(parse_genesis(GENESIS), b"{}"),
    message_field(20, bytes_field(1, CLOCKS[0]) + MISBEHAVIOUR + bytes_field(4, bytes(32)) + varint_field(5, 1)),
)
every_request: Final = st.one_of(
    st.sampled_from(QUESTIONS), conversations.map(lambda asked: asked[-1][1]), st.just(node.commit() + b"\0")
)
any_bytes: Final = st.one_of(st.binary(max_size=300), every_request.flatmap(lambda request: damaged((request,))))


GOES_ON: Final = {
    14: messages.offer_snapshot(messages.OfferVerdict.ACCEPT),
    16: messages.apply_snapshot_chunk(messages.ChunkVerdict.ACCEPT),
}


@pytest.fixture
def application(tmp_path: Path) -> Iterator[tuple[LedgerApplication, asyncio.AbstractEventLoop]]:
    loop = asyncio.new_event_loop()
    clock = ManualClock(START_MS / 1000 + 1)
    found = loop.run_until_complete(open_application(make_home(tmp_path / "network"), clock))
    yield found, loop
    loop.run_until_complete(found.close())
    loop.close()


@pytest.mark.endurance
def test_no_bytes_from_others_make_an_abci_call_fail(
    application: tuple[LedgerApplication, asyncio.AbstractEventLoop],
) -> None:
    ledger, loop = application
    seen: set[int] = set()

    async def check(asked: list[tuple[int, bytes]]) -> None:
        for wanted, request in asked:
            answer = await ledger.answer(messages.decode_request(request))
            assert answer.startswith(varint(wanted << 3 | 2)), (wanted, answer[:100])
            seen.add(wanted)
            if wanted in GOES_ON and answer != GOES_ON[wanted]:
                return  # a node asks another peer then

    assert fuzz(loop, check, conversations) > 100
    assert seen == {2, 7, 9, 14, 15, 16, 17, 18, 20, 21}


@pytest.mark.endurance
def test_no_bytes_at_all_raise_anything_unforeseen(
    application: tuple[LedgerApplication, asyncio.AbstractEventLoop],
) -> None:
    """Bytes that are not a node's request are refused as such; a node that contradicts its ledger is stopped."""
    ledger, loop = application

    async def check(request: bytes) -> None:
        body, _ = next_message(bytearray(delimited(request)), 0)
        assert body == request
        try:
            await ledger.answer(messages.decode_request(request))
        except (MalformedProofError, FatalError):
            return

    assert fuzz(loop, check, any_bytes) > 100


def test_framing_of_any_bytes_is_a_message_or_more_or_refused() -> None:
    loop = asyncio.new_event_loop()

    async def check(received: bytes) -> None:
        try:
            body, offset = next_message(bytearray(received), 0)
        except MalformedProofError:
            return
        assert 0 <= offset <= len(received)
        assert body is None or received[offset - len(body) : offset] == body

    assert fuzz(loop, check, st.binary(max_size=30)) > 100
    loop.close()
