"""CometBFT's reports of validators: an event and an entry of a list that everybody can have proven."""

from pathlib import Path

from core.model.consortium import ResultCode, Transfer, decode_leaf, encode_clock, quantity
from core.model.consortium_members import MISBEHAVIOUR, MisbehaviourLeaf, MisbehaviourSeen
from core.proofs.cometbft.encoding import encode_timestamp
from core.proofs.cometbft.types import KeyKind, PublicKey, Timestamp
from core.proofs.protobuf import bytes_field, decode_fields, message_field, varint_field
from local_chains.consortium.engine.abci import messages
from local_chains.consortium.engine.rendering import events_of
from local_chains.consortium.ledger.execution import execute_block
from local_chains.consortium.ledger.misbehaviour import MAX_PER_BLOCK, Misbehaviour
from local_chains.consortium.ledger.signatures import SignatureChecker
from local_chains.consortium.state.marks import attribute_mark, block_marks, may_hold
from tests.local_chains.consortium.abci.test_application import make_home, serving
from tests.local_chains.consortium.support import ANN, BEN, CHAIN, NAMES, START_MS, Chain, consensus_key

AT_MS = START_MS + 500


def address(name: str) -> bytes:
    return PublicKey(KeyKind.ED25519, consensus_key(name)).address


def test_double_vote_is_written_down_with_whose_it_was() -> None:
    chain = Chain()
    caught = [
        Misbehaviour(1, address(NAMES[2]), 10, 7, AT_MS, 40),
        Misbehaviour(2, bytes(20), 5, 8, AT_MS, 45),
        Misbehaviour(99, b"", -1, -1, -1, -1),
    ]
    pay = ANN.signed(0, Transfer("cnyd", BEN.address, quantity(1)))
    entries = (encode_clock(START_MS + 1_000), pay)
    outcome = execute_block(chain.leaves, CHAIN, 1, entries, SignatureChecker(), caught)
    assert [result.code for result in outcome.results] == [ResultCode.OK] * 2
    expected = [
        ("duplicate-vote", address(NAMES[2]), NAMES[2], 7, AT_MS, 10, 40),
        ("light-client-attack", bytes(20), "", 8, AT_MS, 5, 45),
        ("other", b"", "", 0, 0, 0, 0),
    ]
    assert list(outcome.events) == [MisbehaviourSeen(*fields) for fields in expected]
    chain.leaves.update({key: leaf for key, leaf in outcome.writes.items() if leaf is not None})
    listed = [decode_leaf(raw, MisbehaviourLeaf) for raw in chain.sequence_at(MISBEHAVIOUR)]
    assert listed == [MisbehaviourLeaf(*fields) for fields in expected]
    marks = block_marks(events_of(outcome))
    assert may_hold(marks, [attribute_mark("members.misbehaviour.kind", "other")]), "searches find it"


def test_reports_of_one_block_are_bounded() -> None:
    many = [Misbehaviour(1, bytes(20), 1, 1, 1, 1)] * (MAX_PER_BLOCK + 5)
    outcome = execute_block(Chain().leaves, CHAIN, 1, (encode_clock(START_MS + 1),), SignatureChecker(), many)
    assert len(outcome.events) == MAX_PER_BLOCK


async def test_node_that_reports_misbehaviour_gets_a_block_event(tmp_path: Path) -> None:
    async with serving(make_home(tmp_path / "network")) as driver:
        [validator, *_] = driver.application.genesis.validators.validators
        # `proto/tendermint/abci/types.proto`, Misbehavior.
        reported = (
            varint_field(1, 1)
            + message_field(2, bytes_field(1, validator.address) + varint_field(3, 10))
            + varint_field(3, 5)
            + message_field(4, encode_timestamp(Timestamp(1_700_000_000, 5)))
            + varint_field(5, 40)
        )
        clock = message_field(1, encode_clock(driver.now_ms))
        body = clock + message_field(3, reported) + bytes_field(4, bytes(32)) + varint_field(5, 1)
        answer = await driver.application.answer(messages.decode_request(message_field(20, body)))
        [member] = decode_fields(answer)
        assert isinstance(member.value, bytes)
        events = [field.value for field in decode_fields(member.value) if field.number == 1]
        assert len(events) == 1
        assert b"members.misbehaviour" in bytes(events[0])
        await driver.application.answer(messages.Commit())
        leaf = driver.application.state.get(MISBEHAVIOUR + b"/1")
        assert leaf is not None
        seen = decode_leaf(leaf, MisbehaviourLeaf)
        assert (seen.kind, seen.validator, seen.height, seen.power, seen.total) == (
            "duplicate-vote",
            validator.address,
            5,
            10,
            40,
        )
        assert seen.organisation.startswith("validator-")
