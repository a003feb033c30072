"""The light client's store, rule by rule: what each refuses, and how updates move it on."""

from dataclasses import replace

import pytest

from core.model.beacon import BeaconFork, ForkStart
from core.proofs.beacon import ssz
from core.proofs.beacon.chain import MAX_UPDATES, SyncChain, verify_sync_chain
from core.proofs.beacon.containers import Bootstrap, Finality, NextCommittee, SyncCommittee, Update
from core.proofs.beacon.light_client import (
    DOMAIN_SYNC_COMMITTEE,
    FINALIZED_ROOT,
    Store,
    force_update,
    is_better_update,
    process_update,
    require_header,
    signing_root,
    start,
)
from core.proofs.errors import (
    AnchorMismatchError,
    InsufficientPowerError,
    InvalidCommitError,
    InvalidHeaderError,
    NotEnoughTrustError,
)
from tests.core.proofs.beacons import ELECTRA, FORKS, NETWORK, PERIOD, SIZE, ToyBeacon

BEACON = ToyBeacon()
BEGIN = ELECTRA + 8
FAR = 10**6
MOST = range(22)
"""Places of just over ⅔."""


def begun(slot: int = BEGIN) -> Store:
    return start(BEACON.header(slot).beacon.root(), BEACON.bootstrap(slot), NETWORK)


def after(*updates: Update, store: Store | None = None) -> Store:
    store = store or begun()
    for update in updates:
        store = process_update(store, update, FAR, NETWORK)
    return store


KNOWING = after(BEACON.update(BEGIN + 30, BEGIN + 10))
"""It knows the next committee."""


# --- headers -----------------------------------------------------------------------------------------------------


def test_headers_carry_what_their_fork_has() -> None:
    altair, capella, deneb = (BEACON.header(PERIOD * (fork - 1) + 8) for fork in (1, 3, 4))
    assert capella.execution is not None
    assert deneb.execution is not None
    for header, reason in (
        (replace(altair, execution=capella.execution), "from Capella on"),
        (replace(capella, execution=None, execution_branch=()), "from Capella on"),
        (replace(altair, execution_branch=capella.execution_branch), "before Capella has no"),
        (replace(capella, execution=replace(capella.execution, blob_gas_used=0, excess_blob_gas=0)), "from Deneb on"),
        (replace(deneb, execution=replace(deneb.execution, blob_gas_used=None)), "from Deneb on"),
        (replace(deneb, execution=replace(deneb.execution, excess_blob_gas=None)), "from Deneb on"),
        (replace(deneb, execution_branch=deneb.execution_branch[:-1]), "does not carry"),
    ):
        with pytest.raises(InvalidHeaderError, match=reason):
            require_header(header, NETWORK)
    late = replace(NETWORK, forks=(ForkStart(BeaconFork.PHASE0, 0, bytes(4)), replace(FORKS[0], epoch=2)))
    with pytest.raises(InvalidHeaderError, match="before Altair"):
        require_header(altair, late)
    require_header(BEACON.header(16), late)


# --- bootstrap ---------------------------------------------------------------------------------------------------


def short(committee: SyncCommittee) -> SyncCommittee:
    return replace(committee, keys=committee.keys[:-1])


@pytest.mark.parametrize(
    "committee",
    [short(BEACON.committee(4)), replace(BEACON.committee(4), keys=(*BEACON.committee(4).keys[:-1], b"k" * 47))],
)
def test_committee_of_another_size_is_refused(committee: SyncCommittee) -> None:
    odd = ToyBeacon(committees={4: committee, 5: committee})
    with pytest.raises(InvalidHeaderError, match="number of keys"):
        start(odd.header(BEGIN).beacon.root(), odd.bootstrap(BEGIN), NETWORK)
    next_one = ToyBeacon(committees={5: committee})
    store = start(next_one.header(BEGIN).beacon.root(), next_one.bootstrap(BEGIN), NETWORK)
    with pytest.raises(InvalidHeaderError, match="number of keys"):
        process_update(store, next_one.update(BEGIN + 30, BEGIN + 10), FAR, NETWORK)


def test_branch_of_another_depth_is_refused() -> None:
    """A state root that is the committee's own root needs no branch to lead there."""
    honest = BEACON.bootstrap(BEGIN)
    beacon = replace(honest.header.beacon, state_root=honest.committee.root())
    forged = Bootstrap(replace(honest.header, beacon=beacon), honest.committee, ())
    with pytest.raises(InvalidHeaderError, match="does not have this"):
        start(beacon.root(), forged, NETWORK)
    with pytest.raises(AnchorMismatchError):
        start(bytes(32), honest, NETWORK)


# --- updates -----------------------------------------------------------------------------------------------------


def test_update_that_nobody_signed_is_refused() -> None:
    update = BEACON.update(BEGIN + 20, BEGIN + 10, signers=())
    with pytest.raises(InsufficientPowerError, match="no member"):
        after(update)


def test_one_signature_moves_only_what_is_optimistic() -> None:
    update = BEACON.update(BEGIN + 20, BEGIN + 10, signers=[3])
    store = after(update)
    assert (store.finalized.slot, store.following) == (BEGIN, None)
    assert (store.optimistic.slot, store.best, store.current_most) == (BEGIN + 20, update, 1)


def test_header_that_calls_its_own_slot_final_is_taken() -> None:
    assert after(BEACON.update(BEGIN + 20, BEGIN + 20)).finalized.slot == BEGIN + 20
    with pytest.raises(InvalidHeaderError, match="not before the final one"):
        after(BEACON.update(BEGIN + 20, BEGIN + 21))
    with pytest.raises(InvalidHeaderError, match="signed after its header"):
        after(BEACON.update(BEGIN + 20, BEGIN + 10, signed=BEGIN + 20))


def test_committee_signs_in_its_own_period_only() -> None:
    later = BEACON.update(BEGIN + PERIOD + 20, BEGIN + PERIOD)
    with pytest.raises(NotEnoughTrustError, match="not known yet"):
        after(later)
    store = after(later, store=KNOWING)
    assert store.current == BEACON.committee(5)
    with pytest.raises(NotEnoughTrustError, match="not known yet"):
        after(BEACON.update(BEGIN + 2 * PERIOD + 20, BEGIN + 2 * PERIOD), store=KNOWING)
    with pytest.raises(NotEnoughTrustError, match="not known yet"):
        after(BEACON.update(BEGIN + 20, BEGIN + 10), store=store)


def test_older_update_is_taken_for_its_next_committee_only() -> None:
    """While that is not known, and from the same period."""
    store = begun(BEGIN + 20)
    older = BEACON.update(BEGIN + 10, BEGIN + 2)
    learnt = after(older, store=store)
    assert (learnt.finalized, learnt.following) == (store.finalized, BEACON.committee(5))
    for update, known in (
        (BEACON.update(BEGIN + 10, BEGIN + 2, following=False), store),
        (older, learnt),
        (BEACON.update(BEGIN + 20, BEGIN + 2, following=False), store),
        (BEACON.update(BEGIN + 20, BEGIN + 2), learnt),
    ):
        with pytest.raises(InvalidHeaderError, match="not newer"):
            after(update, store=known)
    across = BEACON.update(ELECTRA - 2, ELECTRA - 10, signed=ELECTRA + 1)
    with pytest.raises(InvalidHeaderError, match="not newer"):
        after(across, store=begun(ELECTRA))


def test_older_update_not_final_in_its_period_teaches_nothing() -> None:
    """Its next committee is not final either."""
    store = begun(BEGIN + 20)
    before = after(BEACON.update(BEGIN + 10, ELECTRA - 10), store=store)
    assert (before.following, before.finalized) == (None, store.finalized)
    none = after(BEACON.update(BEGIN + 10, None), store=store)
    assert (none.following, none.best is not None) == (None, True)


def test_next_committee_other_than_the_known_one_is_refused() -> None:
    store = replace(KNOWING, following=BEACON.committee(9))
    with pytest.raises(InvalidHeaderError, match="another next committee"):
        after(BEACON.update(BEGIN + 40, BEGIN + 20), store=store)
    # The next period's update names the committee after that one.
    moved = after(BEACON.update(BEGIN + PERIOD + 20, BEGIN + PERIOD), store=KNOWING)
    assert moved.following == BEACON.committee(6)


def test_signature_and_participation_have_their_sizes() -> None:
    update = BEACON.update(BEGIN + 20, BEGIN + 10)
    for bad in (
        replace(update, signature=update.signature[:-1]),
        replace(update, participation=update.participation + b"\0"),
        replace(update, participation=update.participation[:-1]),
    ):
        with pytest.raises(InvalidCommitError, match="one bit for each member"):
            after(bad)


def test_genesis_is_final_without_a_header() -> None:
    state = BEACON.state(BEGIN + 20, None)
    genesis = Finality(None, state.branch(FINALIZED_ROOT[1]))
    update = BEACON.signed(replace(BEACON.update(BEGIN + 20, None), finality=genesis), range(SIZE))
    store = after(update)
    assert (store.finalized.slot, store.following) == (BEGIN, None)
    named = BEACON.header(0)
    with pytest.raises(InvalidHeaderError, match="genesis"):
        after(replace(update, finality=replace(genesis, header=named)))
    first = BEACON.update(BEGIN + 20, 1)
    assert after(first).finalized.slot == BEGIN
    with pytest.raises(InvalidHeaderError, match="finalized header"):
        after(replace(update, finality=replace(genesis, branch=genesis.branch[::-1])))


def test_domain_is_of_the_fork_of_the_slot_before() -> None:
    quick = replace(
        NETWORK, slots_per_epoch=1, forks=(FORKS[0], replace(FORKS[1], epoch=1), replace(FORKS[2], epoch=5))
    )
    update = BEACON.update(BEGIN, None)
    for slot, fork in ((0, FORKS[0]), (1, FORKS[0]), (2, FORKS[1]), (5, FORKS[1]), (6, FORKS[2]), (7, FORKS[2])):
        data = ssz.hash_pair(fork.version + bytes(28), NETWORK.genesis_validators_root)
        expected = ssz.hash_pair(update.attested.beacon.root(), DOMAIN_SYNC_COMMITTEE + data[:28])
        assert signing_root(replace(update, signature_slot=slot), quick) == expected, slot


# --- how it moves on ---------------------------------------------------------------------------------------------


def test_best_update_is_kept_until_something_is_final() -> None:
    ten, twenty = (BEACON.update(BEGIN + slot, BEGIN + 10, signers=range(slot)) for slot in (10, 20))
    assert after(twenty, ten).best == after(ten, twenty).best == twenty
    final = after(ten, twenty, BEACON.update(BEGIN + 30, BEGIN + 10, signers=MOST))
    assert (final.best, final.finalized.slot) == (None, BEGIN + 10)


def test_optimistic_header_needs_half_of_the_most_that_signed() -> None:
    first = BEACON.update(BEGIN + 10, None, signers=range(20))
    half, more = (BEACON.update(BEGIN + 20, None, signers=range(count)) for count in (10, 11))
    assert after(first, half).optimistic.slot == BEGIN + 10
    assert after(first, more).optimistic.slot == BEGIN + 20
    assert after(more, first).optimistic.slot == BEGIN + 20
    same = replace(after(more), optimistic=replace(BEACON.header(BEGIN + 20), execution_branch=()))
    assert after(more, store=same).optimistic == same.optimistic, "an equal slot replaces nothing"
    earlier = replace(begun(), previous_most=30)
    assert after(BEACON.update(BEGIN + 10, None, signers=range(15)), store=earlier).optimistic.slot == BEGIN
    assert after(BEACON.update(BEGIN + 10, None, signers=range(16)), store=earlier).optimistic.slot == BEGIN + 10


def test_final_header_is_optimistic_if_newer() -> None:
    few = BEACON.update(BEGIN + 30, None, signers=range(20))
    quiet = replace(begun(), previous_most=2 * SIZE)
    final = BEACON.update(BEGIN + 20, BEGIN + 10)
    assert after(final, store=quiet).optimistic.slot == BEGIN + 10
    assert after(few, final).optimistic.slot == BEGIN + 30


def test_next_period_turns_the_committees() -> None:
    update = BEACON.update(BEGIN + PERIOD + 20, BEGIN + PERIOD, signers=MOST)
    turned = after(update, store=KNOWING)
    assert (turned.current, turned.following) == (BEACON.committee(5), BEACON.committee(6))
    assert (turned.previous_most, turned.current_most) == (SIZE, 0)
    within = after(BEACON.update(BEGIN + 40, BEGIN + 20), store=KNOWING)
    assert (within.current, within.following, within.finalized.slot) == (
        BEACON.committee(4), BEACON.committee(5), BEGIN + 20,
    )  # fmt: skip


def test_final_header_that_is_known_moves_nothing() -> None:
    again = after(BEACON.update(BEGIN + 40, BEGIN + 10), store=KNOWING)
    assert again.finalized == KNOWING.finalized
    assert again.best is not None


def test_older_final_header_alone_keeps_the_best_update() -> None:
    update = BEACON.update(BEGIN + 30, BEGIN + 10, following=False)
    assert after(update, store=begun(BEGIN + 20)).best == update


def genesis_final(slot: int) -> Update:
    """An update of the first period whose state calls genesis final."""
    state = BEACON.state(slot, None)
    finality = Finality(None, state.branch(FINALIZED_ROOT[0]))
    return BEACON.signed(replace(BEACON.update(slot, None), finality=finality), range(SIZE))


def test_first_period_learns_its_next_committee_from_genesis() -> None:
    """Genesis is in it, so that what is final is of the attested header's period; nothing final teaches nothing."""
    for slot in (0, 30):
        store = begun(8 if slot else 0)
        learnt = after(genesis_final(slot), store=store)
        assert (learnt.following, learnt.finalized, learnt.best) == (BEACON.committee(1), store.finalized, None)
    none = after(BEACON.update(30, None), store=begun(8))
    assert (none.following, none.best is not None) == (None, True)


def test_header_of_the_same_slot_replaces_none() -> None:
    marked = replace(BEACON.header(BEGIN + 10), execution_branch=())
    final = replace(begun(BEGIN + 10), finalized=marked)
    assert after(BEACON.update(BEGIN + 30, BEGIN + 10), store=final).finalized == marked
    optimistic = replace(begun(), optimistic=marked, previous_most=2 * SIZE)
    assert after(BEACON.update(BEGIN + 30, BEGIN + 10), store=optimistic).optimistic == marked


# --- forced ------------------------------------------------------------------------------------------------------


def test_force_takes_the_best_attested_header_after_a_period() -> None:
    update = BEACON.update(BEGIN + 30, None, signers=range(20))
    store, until = after(update), BEGIN + PERIOD
    assert force_update(store, until, NETWORK) == store
    forced = force_update(store, until + 1, NETWORK)
    assert (forced.finalized.slot, forced.following, forced.best) == (BEGIN + 30, BEACON.committee(5), None)
    assert force_update(begun(), FAR, NETWORK) == begun(), "nothing to take"


def test_force_takes_what_the_update_calls_final_if_newer() -> None:
    few = BEACON.update(BEGIN + 30, BEGIN + 10, signers=range(20))
    assert force_update(after(few), FAR, NETWORK).finalized.slot == BEGIN + 10
    known = BEACON.update(BEGIN + 40, BEGIN + 10, signers=range(20))
    forced = force_update(after(known, store=KNOWING), FAR, NETWORK)
    assert forced.finalized.slot == BEGIN + 40
    older = BEACON.update(BEGIN + 40, BEGIN + 5, signers=range(20))
    assert force_update(after(older, store=KNOWING), FAR, NETWORK).finalized.slot == BEGIN + 40


def test_force_past_an_unknown_committee_is_refused() -> None:
    stray = replace(begun(), best=BEACON.update(BEGIN + PERIOD, None))
    with pytest.raises(NotEnoughTrustError, match="final header's period"):
        force_update(stray, FAR, NETWORK)


# --- ranking -----------------------------------------------------------------------------------------------------


def test_updates_are_ranked_by_each_criterion_in_turn() -> None:
    def at(slot: int, count: int = SIZE, finalized: int | None = BEGIN, **more: int | bool) -> Update:
        made = BEACON.update(slot, finalized, following=bool(more.get("following", True)))
        bits = ((1 << count) - 1).to_bytes(SIZE // 8, "little")
        return replace(made, participation=bits, signature_slot=int(more.get("signed", slot + 1)))

    ordered = [
        at(BEGIN + 20),
        at(BEGIN + 20, signed=BEGIN + 22),
        at(BEGIN + 21),
        at(BEGIN + 20, 31),
        at(BEGIN + 20, finalized=ELECTRA - 8),
        at(BEGIN + 20, 31, finalized=ELECTRA - 8),
        at(BEGIN + 20, finalized=None),
        at(BEGIN + 20, 22, finalized=None),
        at(BEGIN + 20, signed=BEGIN + PERIOD),
        at(BEGIN + 20, 22, following=False),
        at(BEGIN + 20, 21),
        at(BEGIN + 20, 20),
        at(BEGIN + 20, 20, following=False),
        at(BEGIN + 20, 20, finalized=None, following=False),
    ]
    for place, better in enumerate(ordered):
        assert not is_better_update(better, better, NETWORK)
        for worse in ordered[place + 1 :]:
            assert is_better_update(better, worse, NETWORK), (place, ordered.index(worse))
            assert not is_better_update(worse, better, NETWORK)


def test_updates_without_finality_rank_alike_in_any_period() -> None:
    few, all_of_them = BEACON.update(20, None, signers=MOST), BEACON.update(PERIOD + 20, None)
    assert is_better_update(all_of_them, few, NETWORK)


# --- chains ------------------------------------------------------------------------------------------------------


def test_chain_of_as_many_updates_as_allowed_is_taken() -> None:
    begin = PERIOD * 10 + 8
    goal = begin + (MAX_UPDATES - 1) * PERIOD
    chain = BEACON.chain(begin, goal)
    assert len(chain.updates) == MAX_UPDATES
    assert verify_sync_chain(chain, BEACON.anchor(begin), NETWORK.time_of(goal + 20)).slot == goal


def test_update_in_evidence_says_what_is_final() -> None:
    chain = SyncChain(BEACON.bootstrap(BEGIN), (BEACON.update(BEGIN + 20, None),))
    with pytest.raises(InvalidHeaderError, match="does not say what is final"):
        verify_sync_chain(chain, BEACON.anchor(BEGIN), NETWORK.time_of(BEGIN + 30))


def test_zeros_and_limits_of_trees_are_known() -> None:
    zeros = ssz.hash_pair(bytes(32), bytes(32))
    assert ssz._zero_roots() == ssz._ZERO_ROOTS
    assert ssz._zero_roots()[:3] == (bytes(32), zeros, ssz.hash_pair(zeros, zeros))
    assert len(ssz._zero_roots()) == ssz.MAX_DEPTH + 1
    assert ssz.byte_list_root(b"", 33) == ssz.hash_pair(zeros, bytes(32))
    assert ssz.byte_list_root(b"a", 64) == ssz.hash_pair(ssz.hash_pair(b"a" + bytes(31), bytes(32)), b"\1" + bytes(31))


def test_next_committee_is_under_the_attested_state() -> None:
    update = BEACON.update(BEGIN + 20, BEGIN + 10)
    assert update.following is not None
    for following in (
        NextCommittee(update.following.committee, update.following.branch[::-1]),
        NextCommittee(BEACON.committee(9), update.following.branch),
    ):
        with pytest.raises(InvalidHeaderError, match="next sync committee"):
            after(replace(update, following=following))
