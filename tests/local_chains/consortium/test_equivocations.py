"""The ledger records a proven double attestation once, whoever reports it, and members vote the power away."""

import pytest
from msgspec.structs import replace

from core.model.consortium import (
    Appoint,
    AttestHeader,
    EquivocationLeaf,
    EquivocationProven,
    ReportEquivocation,
    ResultCode,
    decode_leaf,
    equivocation_key,
)
from core.model.consortium_members import MISBEHAVIOUR, MisbehaviourLeaf, MisbehaviourSeen, Organisation, Propose, Vote
from core.proofs.cometbft.types import KeyKind, PublicKey
from local_chains.consortium.ledger.equivocations import MAX_RECORDED
from local_chains.consortium.ledger.leaves import read_operators
from tests.local_chains.consortium.support import (
    ANN,
    BEN,
    CHAIN,
    NAMES,
    OPERATORS,
    START_MS,
    Actor,
    Chain,
    consensus_key,
)

ONE, OTHER = b"\x01" * 32, b"\x02" * 32
VALIDATOR = PublicKey(KeyKind.ED25519, consensus_key(NAMES[2])).address


def vote(block_hash: bytes = ONE, height: int = 40) -> AttestHeader:
    return AttestHeader("eip155:31337", height, block_hash, 480)


def report(by: Actor, height: int = 40, other: bytes = OTHER, chain: str = CHAIN) -> ReportEquivocation:
    first = by.signed(900, vote(height=height), chain=chain)
    return ReportEquivocation(first, by.signed(901, vote(other, height), chain=chain))


def listed(chain: Chain) -> list[MisbehaviourLeaf]:
    return [decode_leaf(raw, MisbehaviourLeaf) for raw in chain.sequence_at(MISBEHAVIOUR)]


def test_double_attestation_is_recorded_with_whose_it_was() -> None:
    chain = Chain()
    result = chain.one(ANN, report(OPERATORS[2]))
    assert result.code is ResultCode.OK
    proven, seen = result.events
    assert proven == EquivocationProven("eip155:31337", 40, OPERATORS[2].address, OPERATORS[2].address)
    powers = read_operators(chain.leaves)
    [leaf] = listed(chain)
    assert (leaf.kind, leaf.validator, leaf.organisation) == ("double-attestation", VALIDATOR, NAMES[2])
    assert (leaf.power, leaf.total) == (powers[OPERATORS[2].address], sum(powers.values()))
    assert leaf.time_ms > START_MS
    assert isinstance(seen, MisbehaviourSeen)
    assert (seen.kind, seen.validator) == (leaf.kind, leaf.validator)
    raw = chain.leaves[equivocation_key(OPERATORS[2].address, "eip155:31337", 40)]
    kept = decode_leaf(raw, EquivocationLeaf)
    assert kept == EquivocationLeaf(OPERATORS[2].address, ONE, 480, OTHER, 480, ANN.address, leaf.time_ms)


def test_attestation_that_the_ledger_refused_still_counts() -> None:
    """The second vote has no effect, and its signature is in a block for everybody to take."""
    chain = Chain()
    first, second = OPERATORS[0].signed(0, vote()), OPERATORS[0].signed(1, vote(OTHER))
    codes = [result.code for result in chain.block(first, second)]
    assert codes == [ResultCode.OK, ResultCode.CONFLICTING_VOTE]
    assert chain.one(BEN, ReportEquivocation(first, second)).code is ResultCode.OK


def test_dismissed_attestor_still_stands_for_its_operator() -> None:
    chain = Chain()
    assert chain.one(OPERATORS[2], Appoint(ANN.address)).code is ResultCode.OK
    assert chain.one(BEN, report(ANN)).code is ResultCode.OK
    assert chain.one(OPERATORS[2], Appoint(b"")).code is ResultCode.OK
    assert chain.one(BEN, report(ANN, height=41)).code is ResultCode.OK
    assert [leaf.organisation for leaf in listed(chain)] == [NAMES[2]] * 2
    kept = decode_leaf(chain.leaves[equivocation_key(OPERATORS[2].address, "eip155:31337", 41)], EquivocationLeaf)
    assert kept.attestor == ANN.address


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (report(OPERATORS[0], other=ONE), ResultCode.BAD_PROOF),
        (report(OPERATORS[0], chain="test-2"), ResultCode.BAD_PROOF),
        (ReportEquivocation(report(OPERATORS[0]).first, report(OPERATORS[1]).second), ResultCode.BAD_PROOF),
        (replace(report(OPERATORS[0]), second=b""), ResultCode.BAD_PROOF),
        (replace(report(OPERATORS[0]), second=b"\xff" * 31_000), ResultCode.BAD_PROOF),
        (report(BEN), ResultCode.NOT_OPERATOR),
    ],
)
def test_report_that_proves_nothing_changes_nothing(message: ReportEquivocation, code: ResultCode) -> None:
    chain = Chain()
    assert chain.one(ANN, message).code is code
    assert listed(chain) == []
    assert not any(key.startswith(b"bridge/equivocation") for key in chain.leaves)


def test_height_is_recorded_once_and_an_operator_so_often() -> None:
    chain = Chain()
    assert chain.one(ANN, report(OPERATORS[0])).code is ResultCode.OK
    for again in (report(OPERATORS[0]), report(OPERATORS[0], other=b"\x03" * 32)):
        assert chain.one(BEN, again).code is ResultCode.BAD_PROOF
    for height in range(41, 40 + MAX_RECORDED):
        assert chain.one(ANN, report(OPERATORS[0], height)).code is ResultCode.OK
    assert chain.one(ANN, report(OPERATORS[0], 99)).code is ResultCode.BAD_PROOF
    assert chain.one(ANN, report(OPERATORS[1], 99)).code is ResultCode.OK
    assert len(listed(chain)) == MAX_RECORDED + 1


def test_members_vote_the_power_of_who_attested_twice_away() -> None:
    chain = Chain()
    assert chain.one(ANN, report(OPERATORS[2])).code is ResultCode.OK
    assert OPERATORS[2].address in read_operators(chain.leaves), "the ledger judges nobody"
    without = Organisation(NAMES[2], OPERATORS[2].address, ())
    assert chain.one(OPERATORS[0], Propose(without)).code is ResultCode.OK
    for other in (OPERATORS[1], OPERATORS[3]):
        assert chain.one(other, Vote(1, True)).code is ResultCode.OK
    assert OPERATORS[2].address not in read_operators(chain.leaves)
    assert chain.one(OPERATORS[2], vote(height=50)).code is ResultCode.NOT_OPERATOR
    # What was proven stays, and more can be.
    assert [leaf.power > 0 for leaf in listed(chain)] == [True]
    assert chain.one(ANN, report(OPERATORS[2], 41)).code is ResultCode.OK
    assert listed(chain)[1].power == 0
