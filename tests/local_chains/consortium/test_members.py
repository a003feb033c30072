"""Organisations: proposals and votes, roles, and what follows for the validators."""

import msgspec
import pytest

from core.model.consortium import CreateAsset, ResultCode, Transfer, decode_leaf, quantity, sequence_key
from core.model.consortium_members import (
    MAX_OPEN_PROPOSALS,
    MAX_POWER,
    MAX_VOIDED,
    ORGANISATIONS,
    PROPOSAL_LIFETIME_MS,
    PROPOSALS,
    MemberChanged,
    MemberProposed,
    MemberVoted,
    Organisation,
    ProposalLeaf,
    ProposalVoided,
    Propose,
    Vote,
    organisation_key,
    organisation_of_key,
)
from core.model.errors import RejectedError
from core.proofs.cometbft.types import KeyKind, PublicKey
from local_chains.consortium.ledger.genesis import GenesisMember, genesis_writes
from local_chains.consortium.ledger.leaves import read_operators
from local_chains.consortium.ledger.members import ValidatorUpdate, members_version, read_validators
from tests.local_chains.consortium.support import (
    ANN,
    BEN,
    ISSUER,
    NAMES,
    NOTARY,
    OPERATORS,
    START_MS,
    Actor,
    Chain,
    app_state,
    consensus_key,
)

NEWCOMER = Organisation("registry", NOTARY.address, ("notary", "regulator"))
FIFTH = Organisation("fifth", BEN.address, ("validator",), "ed25519", consensus_key("fifth"), 10)


def standing(index: int) -> Organisation:
    name = NAMES[index]
    return Organisation(name, OPERATORS[index].address, ("validator",), "ed25519", consensus_key(name), 10)


def altered(terms: Organisation, **fields: object) -> Organisation:
    return msgspec.structs.replace(terms, **fields)


def update(name: str, power: int) -> ValidatorUpdate:
    return ValidatorUpdate(PublicKey(KeyKind.ED25519, consensus_key(name)), power)


def proposal(chain: Chain, number: int) -> ProposalLeaf:
    return decode_leaf(chain.leaves[sequence_key(PROPOSALS, number)], ProposalLeaf)


def pass_proposal(chain: Chain, terms: Organisation) -> None:
    assert chain.one(OPERATORS[0], Propose(terms)).code is ResultCode.OK
    number = len(chain.sequence_at(PROPOSALS))
    for operator in OPERATORS[1:3]:
        result = chain.one(operator, Vote(number, True))
        assert result.code is ResultCode.OK, result.log
    assert proposal(chain, number).status == "passed"


def test_more_than_two_thirds_of_the_power_make_a_member() -> None:
    chain = Chain()
    expires_ms = START_MS + 1_000 + PROPOSAL_LIFETIME_MS
    proposed = chain.one(OPERATORS[0], Propose(NEWCOMER))
    assert proposed.events == (
        MemberProposed(1, "registry", OPERATORS[0].address, expires_ms, 1),
        MemberVoted(1, OPERATORS[0].address, "yes", "open"),
    )
    assert chain.one(OPERATORS[1], Vote(1, True)).events == (MemberVoted(1, OPERATORS[1].address, "yes", "open"),)
    assert organisation_key("registry") not in chain.leaves
    assert chain.one(OPERATORS[2], Vote(1, True)).events == (
        MemberVoted(1, OPERATORS[2].address, "yes", "passed"),
        MemberChanged("registry", NOTARY.address, "notary,regulator", b"", 0, 2),
    )
    assert decode_leaf(chain.leaves[organisation_key("registry")], Organisation) == NEWCOMER
    assert chain.sequence_at(ORGANISATIONS) == [*(name.encode() for name in NAMES), b"mint", b"registry"]
    votes = tuple((operator.address, True) for operator in OPERATORS[:3])
    assert proposal(chain, 1) == ProposalLeaf(
        NEWCOMER, OPERATORS[0].address, expires_ms, "passed", votes, version=1, tally=(30, 0, 40)
    )
    assert chain.updates == ()


def test_exactly_two_thirds_are_not_enough() -> None:
    chain = Chain(app_state((20, 10, 10, 20)))
    chain.one(OPERATORS[0], Propose(NEWCOMER))
    chain.one(OPERATORS[3], Vote(1, True))
    assert proposal(chain, 1).status == "open"
    chain.one(OPERATORS[1], Vote(1, True))
    assert proposal(chain, 1).status == "passed"


def test_a_proposal_that_cannot_pass_any_more_is_rejected() -> None:
    chain = Chain(app_state((20, 10, 10, 20)))
    chain.one(OPERATORS[0], Propose(NEWCOMER))
    chain.one(OPERATORS[1], Vote(1, False))
    assert proposal(chain, 1).status == "open"
    against = chain.one(OPERATORS[2], Vote(1, False))
    assert against.events == (MemberVoted(1, OPERATORS[2].address, "no", "rejected"),)
    assert chain.one(OPERATORS[3], Vote(1, True)).code is ResultCode.PROPOSAL_CLOSED
    assert organisation_key("registry") not in chain.leaves


def test_an_operator_votes_once() -> None:
    chain = Chain()
    chain.one(OPERATORS[0], Propose(NEWCOMER))
    assert chain.one(OPERATORS[0], Vote(1, True)).code is ResultCode.DUPLICATE_VOTE
    assert chain.one(OPERATORS[0], Vote(1, False)).code is ResultCode.CONFLICTING_VOTE
    assert chain.one(OPERATORS[1], Vote(1, False)).code is ResultCode.OK
    assert chain.one(OPERATORS[1], Vote(1, False)).code is ResultCode.DUPLICATE_VOTE
    assert chain.one(OPERATORS[1], Vote(1, True)).code is ResultCode.CONFLICTING_VOTE
    assert len(proposal(chain, 1).votes) == 2


def test_a_proposal_expires() -> None:
    chain = Chain()
    chain.one(OPERATORS[0], Propose(NEWCOMER))
    chain.one(OPERATORS[1], Vote(1, True), after_s=PROPOSAL_LIFETIME_MS / 1_000 - 0.001)
    late = chain.one(OPERATORS[2], Vote(1, True), after_s=0.001)
    assert late.code is ResultCode.PROPOSAL_CLOSED
    assert "expired" in late.log


def test_an_operator_has_so_many_proposals_open() -> None:
    chain = Chain()
    many = [Propose(altered(NEWCOMER, name=f"o{number}")) for number in range(MAX_OPEN_PROPOSALS)]
    assert chain.one(OPERATORS[0], *many).code is ResultCode.OK
    assert chain.one(OPERATORS[0], Propose(NEWCOMER)).code is ResultCode.TOO_MANY_PROPOSALS
    assert chain.one(OPERATORS[1], Propose(NEWCOMER)).code is ResultCode.OK, "a quota is one's own"
    for operator in OPERATORS[1:3]:
        chain.one(operator, Vote(3, False))
    assert proposal(chain, 3).status == "rejected"
    assert chain.one(OPERATORS[0], Propose(NEWCOMER)).code is ResultCode.OK
    assert chain.one(OPERATORS[0], Propose(NEWCOMER)).code is ResultCode.TOO_MANY_PROPOSALS
    later = chain.one(OPERATORS[0], Propose(NEWCOMER), after_s=PROPOSAL_LIFETIME_MS / 1_000)
    assert later.code is ResultCode.OK, "what has expired is not open"


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        (altered(NEWCOMER, name="Registry"), ResultCode.BAD_NAME),
        (altered(NEWCOMER, account=b"short"), ResultCode.BAD_ADDRESS),
        (altered(NEWCOMER, roles=("regulator", "notary")), ResultCode.BAD_ORGANISATION),
        (altered(NEWCOMER, roles=("notary", "notary")), ResultCode.BAD_ORGANISATION),
        (altered(NEWCOMER, roles=("king",)), ResultCode.BAD_ORGANISATION),
        (altered(NEWCOMER, account=OPERATORS[1].address), ResultCode.BAD_ORGANISATION),
        (altered(NEWCOMER, power=1), ResultCode.BAD_ORGANISATION),
        (altered(NEWCOMER, key=FIFTH.key), ResultCode.BAD_ORGANISATION),
        (altered(NEWCOMER, key_kind="ed25519"), ResultCode.BAD_ORGANISATION),
        (altered(FIFTH, power=0), ResultCode.BAD_ORGANISATION),
        (altered(FIFTH, power=-1), ResultCode.BAD_ORGANISATION),
        (altered(FIFTH, power=MAX_POWER + 1), ResultCode.BAD_ORGANISATION),
        (altered(FIFTH, key=b""), ResultCode.BAD_ORGANISATION),
        (altered(FIFTH, key=FIFTH.key + b"\0"), ResultCode.BAD_ORGANISATION),
        (altered(FIFTH, key=consensus_key(NAMES[2])), ResultCode.BAD_ORGANISATION),
        (altered(FIFTH, key_kind="secp256k1eth", key=b"\x02" + b"\x11" * 32), ResultCode.BAD_ORGANISATION),
        (altered(FIFTH, key_kind="bls12_381"), ResultCode.BAD_ORGANISATION),
    ],
)
def test_terms_under_which_no_organisation_can_stand(terms: Organisation, code: ResultCode) -> None:
    chain = Chain()
    result = chain.one(OPERATORS[0], Propose(terms))
    assert result.code is code
    assert chain.sequence_at(PROPOSALS) == []


@pytest.mark.parametrize("actor", [ANN, ISSUER])
def test_only_validators_propose_and_vote(actor: Actor) -> None:
    chain = Chain()
    assert chain.one(actor, Propose(NEWCOMER)).code is ResultCode.MISSING_ROLE
    chain.one(OPERATORS[0], Propose(NEWCOMER))
    assert chain.one(actor, Vote(1, True)).code is ResultCode.MISSING_ROLE


@pytest.mark.parametrize("number", [0, 2, -1, 2**63, 2**64 - 1])
def test_a_vote_is_on_a_proposal(number: int) -> None:
    chain = Chain()
    chain.one(OPERATORS[0], Propose(NEWCOMER))
    assert chain.one(OPERATORS[1], Vote(number, True)).code is ResultCode.UNKNOWN_PROPOSAL


def test_a_role_is_given_and_taken() -> None:
    chain = Chain()
    assert chain.one(ANN, CreateAsset("silver", 0)).code is ResultCode.MISSING_ROLE
    pass_proposal(chain, Organisation("bank", ANN.address, ("issuer",)))
    assert chain.one(ANN, CreateAsset("silver", 0)).code is ResultCode.OK
    pass_proposal(chain, Organisation("bank", ANN.address, ()))
    assert chain.one(ANN, CreateAsset("copper", 0)).code is ResultCode.MISSING_ROLE
    assert chain.sequence_at(ORGANISATIONS)[-1] == b"bank", "who has left remains on the list"


def test_organisation_that_changes_its_account_frees_the_old_one() -> None:
    chain = Chain()
    pass_proposal(chain, altered(standing(3), account=BEN.address))
    assert organisation_of_key(OPERATORS[3].address) not in chain.leaves
    assert chain.leaves[organisation_of_key(BEN.address)] == NAMES[3].encode()
    assert chain.updates == (), "its validator stays the same"
    assert chain.one(OPERATORS[3], Propose(NEWCOMER)).code is ResultCode.MISSING_ROLE
    assert chain.one(BEN, Propose(NEWCOMER)).code is ResultCode.OK
    pass_proposal(chain, altered(NEWCOMER, account=OPERATORS[3].address))


# --- validators ---


def test_validators_come_change_and_go() -> None:
    chain = Chain()
    pass_proposal(chain, FIFTH)
    assert chain.updates == (update("fifth", 10),)
    assert read_operators(chain.leaves)[BEN.address] == 10
    assert chain.one(OPERATORS[0], Transfer("gold", ANN.address, quantity(1))).code is ResultCode.INSUFFICIENT_FUNDS
    assert not chain.updates, "an update is reported once"
    # Now 50 in all: three of ten are no more than ⅔, the fourth makes it.
    chain.one(BEN, Propose(altered(standing(0), power=25)))
    for operator in OPERATORS[1:3]:
        chain.one(operator, Vote(2, True))
    assert proposal(chain, 2).status == "open"
    chain.one(OPERATORS[3], Vote(2, True))
    assert chain.updates == (update(NAMES[0], 25),)
    pass_proposal(chain, Organisation(NAMES[3], OPERATORS[3].address, ("notary",)))
    assert chain.updates == (update(NAMES[3], 0),)
    assert OPERATORS[3].address not in read_operators(chain.leaves)
    assert len(read_validators(chain.leaves)) == 4


def test_a_validator_s_new_key_replaces_its_old_one_at_once() -> None:
    chain = Chain()
    pass_proposal(chain, altered(standing(1), key=consensus_key("fresh")))
    assert sorted(chain.updates, key=lambda change: change.power) == [update(NAMES[1], 0), update("fresh", 10)]


def test_votes_count_by_the_power_their_operators_have_by_then() -> None:
    chain = Chain()
    chain.one(OPERATORS[3], Propose(NEWCOMER))
    pass_proposal(chain, Organisation(NAMES[3], OPERATORS[3].address, ()))
    chain.one(OPERATORS[0], Vote(1, True))
    chain.one(OPERATORS[1], Vote(1, True))
    assert proposal(chain, 1).status == "open", "the vote of who has left counts no more"
    chain.one(OPERATORS[2], Vote(1, True))
    assert proposal(chain, 1).status == "passed"


def test_the_last_validator_stays() -> None:
    chain = Chain(app_state((97, 1, 1, 1)))
    for index in (1, 2, 3):
        leaves = Organisation(NAMES[index], OPERATORS[index].address, ())
        assert chain.one(OPERATORS[0], Propose(leaves)).code is ResultCode.OK
        assert chain.updates == (update(NAMES[index], 0),)
    last = chain.one(OPERATORS[0], Propose(Organisation(NAMES[0], OPERATORS[0].address, ())))
    assert last.code is ResultCode.BAD_ORGANISATION


def test_what_another_proposal_has_made_impossible_does_not_pass() -> None:
    chain = Chain()
    chain.one(OPERATORS[0], Propose(FIFTH))
    pass_proposal(chain, altered(FIFTH, name="sixth", account=ANN.address))
    for operator in OPERATORS[1:3]:
        assert chain.one(operator, Vote(1, True)).code is ResultCode.OK
    result = chain.one(OPERATORS[3], Vote(1, True))
    assert result.events == (MemberVoted(1, OPERATORS[3].address, "yes", "void"), ProposalVoided(1, "fifth"))
    assert proposal(chain, 1).status == "void"
    assert organisation_key("fifth") not in chain.leaves
    assert chain.one(OPERATORS[3], Vote(1, True)).code is ResultCode.PROPOSAL_CLOSED


def test_change_voids_open_proposals_about_the_same_organisation() -> None:
    """An old proposal does not undo a newer decision."""
    chain = Chain()
    chain.one(OPERATORS[3], Propose(altered(standing(3), power=20)))
    chain.one(OPERATORS[0], Vote(1, True))
    chain.one(OPERATORS[0], Propose(NEWCOMER))
    chain.one(OPERATORS[1], Propose(Organisation(NAMES[3], OPERATORS[3].address, ())))
    chain.one(OPERATORS[2], Vote(3, True))
    expelled = chain.one(OPERATORS[0], Vote(3, True))
    assert expelled.events[-1] == ProposalVoided(1, NAMES[3])
    assert [proposal(chain, number).status for number in (1, 2, 3)] == ["void", "open", "passed"]
    for operator, ballot in ((OPERATORS[1], False), (OPERATORS[2], True)):
        assert chain.one(operator, Vote(1, ballot)).code is ResultCode.PROPOSAL_CLOSED
    assert OPERATORS[3].address not in read_operators(chain.leaves)


def test_proposals_too_many_to_void_at_once_void_at_their_vote() -> None:
    chain = Chain()
    for operator in OPERATORS[:2]:
        for _ in range(MAX_OPEN_PROPOSALS - 1):
            assert chain.one(operator, Propose(NEWCOMER)).code is ResultCode.OK
    count = 2 * (MAX_OPEN_PROPOSALS - 1)
    chain.one(OPERATORS[2], Propose(altered(NEWCOMER, roles=("notary",))))
    chain.one(OPERATORS[1], Vote(count + 1, True))
    chain.one(OPERATORS[0], Vote(count + 1, True))
    statuses = [proposal(chain, number).status for number in range(1, count + 1)]
    assert statuses == ["void"] * MAX_VOIDED + ["open"] * (count - MAX_VOIDED)
    late = chain.one(OPERATORS[3], Vote(count, True))
    assert late.events == (ProposalVoided(count, "registry"),)
    assert proposal(chain, count).status == "void"


def test_no_vote_makes_a_proposal_pass() -> None:
    """Not even if others' power was cut meanwhile, so that the yes before it are enough now."""
    chain = Chain(app_state((10, 10, 10, 40)))
    chain.one(OPERATORS[0], Propose(NEWCOMER))
    chain.one(OPERATORS[1], Vote(1, True))
    chain.one(OPERATORS[2], Vote(1, True))
    for power in (20, 5):
        chain.one(OPERATORS[3], Propose(altered(standing(3), power=power)))
        number = len(chain.sequence_at(PROPOSALS))
        for operator in OPERATORS[:2]:
            chain.one(operator, Vote(number, True))
        assert read_operators(chain.leaves)[OPERATORS[3].address] == power
    against = chain.one(OPERATORS[3], Vote(1, False))
    assert against.events == (MemberVoted(1, OPERATORS[3].address, "no", "open"),)
    assert proposal(chain, 1).tally == (30, 5, 35)
    assert organisation_key("registry") not in chain.leaves


def test_one_proposal_changes_at_most_a_third_of_the_power() -> None:
    for terms in (
        altered(standing(0), power=24),
        altered(standing(0), power=MAX_POWER),
        altered(FIFTH, power=14),
    ):
        chain = Chain()
        chain.one(OPERATORS[0], Propose(terms))
        chain.one(OPERATORS[1], Vote(1, True))
        last = chain.one(OPERATORS[2], Vote(1, True))
        assert last.events[-1] == ProposalVoided(1, terms.name)
        assert not chain.updates
    for terms in (altered(standing(0), power=23), altered(FIFTH, power=13)):
        chain = Chain()
        pass_proposal(chain, terms)
        assert [change.power for change in chain.updates] == [terms.power]


def test_validator_with_more_than_a_third_leaves_in_steps() -> None:
    chain = Chain(app_state((10, 10, 10, 40)))
    for power in (17, 2):
        chain.one(OPERATORS[0], Propose(altered(standing(3), power=power)))
        number = len(chain.sequence_at(PROPOSALS))
        for operator in (OPERATORS[1], OPERATORS[2], OPERATORS[3]):
            chain.one(operator, Vote(number, True))
        assert read_operators(chain.leaves)[OPERATORS[3].address] == power
    pass_proposal(chain, Organisation(NAMES[3], OPERATORS[3].address, ()))
    assert sum(read_operators(chain.leaves).values()) == 30


def test_step_that_became_too_large_is_void() -> None:
    chain = Chain()
    chain.one(OPERATORS[0], Propose(altered(FIFTH, power=13)))
    pass_proposal(chain, Organisation(NAMES[3], OPERATORS[3].address, ()))
    chain.one(OPERATORS[1], Vote(1, True))
    last = chain.one(OPERATORS[2], Vote(1, True))
    assert last.events[-1] == ProposalVoided(1, "fifth")
    assert not chain.updates


def test_proposal_names_the_list_version_it_was_made_against() -> None:
    chain = Chain()
    assert chain.one(OPERATORS[0], Propose(altered(standing(3), power=12), 1)).code is ResultCode.OK
    assert chain.one(OPERATORS[0], Propose(NEWCOMER, 2)).code is ResultCode.BAD_ORGANISATION, "not there yet"
    chain.one(OPERATORS[1], Vote(1, True))
    assert chain.one(OPERATORS[2], Vote(1, True)).code is ResultCode.OK
    assert members_version(chain.leaves) == 2
    stale = chain.one(OPERATORS[0], Propose(altered(standing(3), power=14), 1))
    assert stale.code is ResultCode.BAD_ORGANISATION
    assert chain.one(OPERATORS[0], Propose(NEWCOMER, 1)).code is ResultCode.OK, "another organisation did not change"
    assert chain.one(OPERATORS[0], Propose(altered(standing(3), power=14), 2)).code is ResultCode.OK
    assert proposal(chain, 3).version == 2


# --- genesis ---


@pytest.mark.parametrize(
    "member",
    [
        GenesisMember("mint", NOTARY.address.hex(), ("notary",)),
        GenesisMember("another", ISSUER.address.hex(), ("notary",)),
        GenesisMember("Another", NOTARY.address.hex(), ("notary",)),
        GenesisMember("another", NOTARY.address.hex(), ("validator",)),
        GenesisMember("another", NOTARY.address.hex(), ("king",)),
        GenesisMember("another", "xyz", ("notary",)),
    ],
)
def test_a_genesis_file_that_contradicts_itself_is_refused(member: GenesisMember) -> None:
    good = app_state()
    with pytest.raises(RejectedError):
        genesis_writes(msgspec.structs.replace(good, members=(*good.members, member)), START_MS)
    one = good.operators[0]
    for bad in (
        msgspec.structs.replace(one, name="fifth", public_key=ANN.public_key.hex()),
        msgspec.structs.replace(one, name="fifth", key=consensus_key("fifth").hex()),
        msgspec.structs.replace(one, public_key=ANN.public_key.hex(), key=consensus_key("fifth").hex()),
    ):
        with pytest.raises(RejectedError):
            genesis_writes(msgspec.structs.replace(good, operators=(*good.operators, bad)), START_MS)
