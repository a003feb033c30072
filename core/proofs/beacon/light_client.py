"""The light client's store and its rules: which updates hold, and what they change.

A sync committee signs headers for one period; the state under a signed header names the next committee and the header
that is final. Names and order follow consensus-specs `specs/altair/light-client/sync-protocol.md` (with the forks'
changes), so that the two can be read next to each other. Two thirds of a committee move the store on; what is believed
in evidence is stricter (`chain.py`).
"""

from dataclasses import dataclass, replace
from typing import Final

from core.model.beacon import BeaconFork, BeaconNetwork
from core.proofs.beacon import ssz
from core.proofs.beacon.bls import KEY_SIZE, SIGNATURE_SIZE, fast_aggregate_verify
from core.proofs.beacon.containers import Bootstrap, Branch, LightHeader, NextCommittee, SyncCommittee, Update
from core.proofs.errors import (
    AnchorMismatchError,
    FutureHeaderError,
    InsufficientPowerError,
    InvalidCommitError,
    InvalidHeaderError,
    NotEnoughTrustError,
)

MIN_PARTICIPANTS: Final = 1
"""The protocol's own minimum for an update that changes nothing but what is optimistic."""
DOMAIN_SYNC_COMMITTEE: Final = b"\x07\x00\x00\x00"

# Generalized indices in the beacon state, before Electra and since, and of the payload in the block body.
FINALIZED_ROOT: Final = (105, 169)
CURRENT_COMMITTEE: Final = (54, 86)
NEXT_COMMITTEE: Final = (55, 87)
EXECUTION_PAYLOAD: Final = 25


@dataclass(frozen=True, slots=True)
class Store:
    """`LightClientStore`: the finalized header, the committees of its period and of the next (None: not yet known).

    `best` is the best update that did not finalize, for `force_update`; `optimistic` the newest header signed by enough
    members, compared with the most that signed in this period and the last.
    """

    finalized: LightHeader
    current: SyncCommittee
    following: SyncCommittee | None
    optimistic: LightHeader
    best: Update | None = None
    previous_most: int = 0
    current_most: int = 0


def start(trusted_root: bytes, bootstrap: Bootstrap, network: BeaconNetwork) -> Store:
    """`initialize_light_client_store`. Raise AnchorMismatchError for another block than the trusted one,
    InvalidHeaderError if it does not carry its parts."""
    require_header(bootstrap.header, network)
    if bootstrap.header.beacon.root() != trusted_root:
        raise AnchorMismatchError("the bootstrap is not of the anchor's beacon block", slot=bootstrap.header.slot)
    _require_committee(bootstrap.committee, network)
    header = bootstrap.header
    _require_branch(
        bootstrap.committee.root(), bootstrap.committee_branch, CURRENT_COMMITTEE, header, network, "sync committee"
    )
    return Store(header, bootstrap.committee, None, header)


def require_header(header: LightHeader, network: BeaconNetwork) -> None:
    """`is_valid_light_client_header`: the block carries this execution header. Raise InvalidHeaderError."""
    fork = network.fork_at(header.slot).fork
    execution = header.execution
    if fork < BeaconFork.ALTAIR:
        raise InvalidHeaderError("there are no sync committees before Altair", slot=header.slot)
    if (execution is None) != (fork < BeaconFork.CAPELLA):
        raise InvalidHeaderError("a header carries its execution header from Capella on", slot=header.slot)
    if execution is None:
        if header.execution_branch:
            raise InvalidHeaderError("a header before Capella has no execution branch", slot=header.slot)
        return
    blobs = execution.blob_gas_used, execution.excess_blob_gas
    if any((gas is None) != (fork < BeaconFork.DENEB) for gas in blobs):
        raise InvalidHeaderError("an execution header has its blob gas from Deneb on", slot=header.slot)
    if not _leads_to(execution.root(), header.execution_branch, EXECUTION_PAYLOAD, header.beacon.body_root):
        raise InvalidHeaderError("the beacon block does not carry this execution header", slot=header.slot)


def validate_update(store: Store, update: Update, current_slot: int, network: BeaconNetwork) -> None:
    """`validate_light_client_update`. Raise the LightClientError that says which rule it breaks."""
    if update.participants < MIN_PARTICIPANTS:
        raise InsufficientPowerError("no member of the sync committee signed")
    attested = update.attested
    require_header(attested, network)
    if update.signature_slot > current_slot:
        raise FutureHeaderError("the update was signed in the future", slot=update.signature_slot, now=current_slot)
    if not update.signature_slot > attested.slot >= update.finalized_slot:
        raise InvalidHeaderError("an update is signed after its header, and that one is not before the final one")
    period = network.period_of(store.finalized.slot)
    signed_in = network.period_of(update.signature_slot)
    if signed_in != period and (store.following is None or signed_in != period + 1):
        raise NotEnoughTrustError("the committee of the signature's period is not known yet", period=signed_in)
    learns = store.following is None and update.following is not None and network.period_of(attested.slot) == period
    if attested.slot <= store.finalized.slot and not learns:
        raise InvalidHeaderError("the update is not newer than what is final already", slot=attested.slot)
    _require_finality(update, network)
    _require_following(store, update, period, network)
    _require_signature(update, store.current if signed_in == period else store.following, network)


def process_update(store: Store, update: Update, current_slot: int, network: BeaconNetwork) -> Store:
    """`process_light_client_update`: the store after an update. Raise as `validate_update`."""
    validate_update(store, update, current_slot, network)
    if store.best is None or is_better_update(update, store.best, network):
        store = replace(store, best=update)
    store = replace(store, current_most=max(store.current_most, update.participants))
    enough = update.participants > max(store.previous_most, store.current_most) // 2
    if enough and update.attested.slot > store.optimistic.slot:
        store = replace(store, optimistic=update.attested)
    finalizes_next = (
        store.following is None
        and update.following is not None
        and update.finality is not None
        and network.period_of(update.finalized_slot) == network.period_of(update.attested.slot)
    )
    if not has_supermajority(update, network):
        return store
    if update.finalized_slot > store.finalized.slot or finalizes_next:
        finalized = None if update.finality is None else update.finality.header
        return replace(_applied(store, update, finalized, network), best=None)
    return store


def force_update(store: Store, current_slot: int, network: BeaconNetwork) -> Store:
    """`process_light_client_store_force_update`: the store once nothing was final for a whole period.

    It takes the best header that was attested for final: a way on for who follows a chain in trouble, never a proof.
    """
    timeout = network.slots_per_epoch * network.epochs_per_period
    best = store.best
    if best is None or current_slot <= store.finalized.slot + timeout:
        return store
    finalized = None if best.finality is None else best.finality.header
    if finalized is None or finalized.slot <= store.finalized.slot:
        finalized = best.attested
    return replace(_applied(store, best, finalized, network), best=None)


def has_supermajority(update: Update, network: BeaconNetwork) -> bool:
    """Return True if at least ⅔ of the committee signed. Sizes are powers of two, so these are more than ⅔."""
    return update.participants * 3 >= network.committee_size * 2


def is_better_update(new: Update, old: Update, network: BeaconNetwork) -> bool:
    """`is_better_update`: the order in which updates of one period are preferred."""
    return _rank(new, network) > _rank(old, network)


def _rank(update: Update, network: BeaconNetwork) -> tuple[int, ...]:
    """Greater is better; the members are the protocol's criteria in their order."""
    period = network.period_of
    super_majority = has_supermajority(update, network)
    attested, finality = period(update.attested.slot), update.finality
    return (
        super_majority,
        0 if super_majority else update.participants,
        update.following is not None and attested == period(update.signature_slot),
        finality is not None,
        finality is not None and period(update.finalized_slot) == attested,
        update.participants,
        -update.attested.slot,
        -update.signature_slot,
    )


def _applied(store: Store, update: Update, finalized: LightHeader | None, network: BeaconNetwork) -> Store:
    """`apply_light_client_update`, with the header to be called final."""
    slot = 0 if finalized is None else finalized.slot
    period = network.period_of(store.finalized.slot)
    following = None if update.following is None else update.following.committee
    if store.following is None:
        if network.period_of(slot) != period:
            raise NotEnoughTrustError("the committee of the final header's period is not known yet")
        store = replace(store, following=following)
    elif network.period_of(slot) == period + 1:
        store = replace(
            store,
            current=store.following,
            following=following,
            previous_most=store.current_most,
            current_most=0,
        )
    if finalized is not None and slot > store.finalized.slot:
        newest = finalized if slot > store.optimistic.slot else store.optimistic
        store = replace(store, finalized=finalized, optimistic=newest)
    return store


def _require_finality(update: Update, network: BeaconNetwork) -> None:
    finality = update.finality
    if finality is None:
        return
    root = ssz.ZERO_CHUNK
    if finality.header is not None:
        if finality.header.slot == 0:
            raise InvalidHeaderError("genesis is final without a header")
        require_header(finality.header, network)
        root = finality.header.beacon.root()
    _require_branch(root, finality.branch, FINALIZED_ROOT, update.attested, network, "finalized header")


def _require_following(store: Store, update: Update, period: int, network: BeaconNetwork) -> None:
    following: NextCommittee | None = update.following
    if following is None:
        return
    _require_committee(following.committee, network)
    known = store.following if network.period_of(update.attested.slot) == period else None
    if known is not None and following.committee != known:
        raise InvalidHeaderError("the update names another next committee than the one that is known")
    _require_branch(
        following.committee.root(), following.branch, NEXT_COMMITTEE, update.attested, network, "next sync committee"
    )


def _require_signature(update: Update, committee: SyncCommittee | None, network: BeaconNetwork) -> None:
    if len(update.participation) * 8 != network.committee_size or len(update.signature) != SIGNATURE_SIZE:
        raise InvalidCommitError("participation has one bit for each member, and a signature 96 bytes")
    assert committee is not None
    keys = [key for place, key in enumerate(committee.keys) if update.participation[place // 8] >> place % 8 & 1]
    if not fast_aggregate_verify(keys, signing_root(update, network), update.signature):
        raise InvalidCommitError("the sync committee did not sign this header", slot=update.attested.slot)


def signing_root(update: Update, network: BeaconNetwork) -> bytes:
    """The 32 bytes that members sign: the attested header in the domain of the slot before the signature's."""
    version = network.fork_at(max(update.signature_slot, 1) - 1).version
    fork_data = ssz.hash_pair(version.ljust(ssz.CHUNK_SIZE, b"\0"), network.genesis_validators_root)
    domain = DOMAIN_SYNC_COMMITTEE + fork_data[:28]
    return ssz.hash_pair(update.attested.beacon.root(), domain)


def _require_committee(committee: SyncCommittee, network: BeaconNetwork) -> None:
    sizes = {len(key) for key in (*committee.keys, committee.aggregate_key)}
    if len(committee.keys) != network.committee_size or sizes != {KEY_SIZE}:
        raise InvalidHeaderError("a sync committee has the network's number of keys", expected=network.committee_size)


def _require_branch(
    leaf: bytes, branch: Branch, indices: tuple[int, int], header: LightHeader, network: BeaconNetwork, what: str
) -> None:
    """Require a leaf of the header's state. `indices`: before Electra, and since."""
    index = indices[network.fork_at(header.slot).fork >= BeaconFork.ELECTRA]
    if not _leads_to(leaf, branch, index, header.beacon.state_root):
        raise InvalidHeaderError(f"the state under the header does not have this {what}", slot=header.slot)


def _leads_to(leaf: bytes, branch: Branch, index: int, root: bytes) -> bool:
    return len(branch) == ssz.branch_depth(index) and ssz.root_by_branch(leaf, branch, index) == root
