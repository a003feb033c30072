"""From an anchor to a final Ethereum block by sync committees: what evidence carries, and the strict rules for it.

Every update must be signed by more than ⅔ of its committee, carry its finality, and move on what is known; nothing is
forced. Committees are drawn from all validators and serve for about a day; who signs a false header loses no stake for
it, so this is weaker than Ethereum's own finality, and independent of the consortium's operators.
"""

from dataclasses import dataclass
from typing import Final

from core.model.beacon import BeaconAnchor
from core.proofs.beacon.containers import Bootstrap, LightHeader, Update
from core.proofs.beacon.light_client import Store, has_supermajority, process_update, start
from core.proofs.errors import (
    InsufficientPowerError,
    InvalidHeaderError,
    MalformedProofError,
    TrustExpiredError,
)

MAX_UPDATES: Final = 32
"""Periods that one file leads over; a megabyte holds about 18 of mainnet's, three weeks."""
MAX_CLOCK_DRIFT_S: Final = 10


@dataclass(frozen=True, slots=True)
class SyncChain:
    """The bootstrap at the anchor's block, and updates in ascending order; the last one's final header is the goal."""

    bootstrap: Bootstrap
    updates: tuple[Update, ...] = ()


def verify_sync_chain(chain: SyncChain, anchor: BeaconAnchor, now_s: int) -> LightHeader:
    """The final header to which the chain leads from the anchor. `now_s` is the verifier's own Unix time.

    Raise MalformedProofError, AnchorMismatchError, or the LightClientError of the first step that fails.
    """
    if len(chain.updates) > MAX_UPDATES:
        raise MalformedProofError("too many updates", limit=MAX_UPDATES, updates=len(chain.updates))
    network = anchor.network
    store = start(anchor.trusted_root, chain.bootstrap, network)
    until_s = network.time_of(store.finalized.slot) + anchor.trusting_period_s
    if until_s <= now_s:
        raise TrustExpiredError("the anchor's beacon block is older than its trusting period", until_s=until_s)
    current_slot = network.slot_at(now_s + MAX_CLOCK_DRIFT_S)
    for update in chain.updates:
        store = _moved_on(store, update, current_slot, anchor)
    return store.finalized


def _moved_on(store: Store, update: Update, current_slot: int, anchor: BeaconAnchor) -> Store:
    if not has_supermajority(update, anchor.network):
        raise InsufficientPowerError(
            "no more than ⅔ of the sync committee signed",
            signed=update.participants,
            members=anchor.network.committee_size,
        )
    if update.finality is None:
        raise InvalidHeaderError("the update does not say what is final", slot=update.attested.slot)
    after = process_update(store, update, current_slot, anchor.network)
    known = store.finalized, store.current, store.following
    if (after.finalized, after.current, after.following) == known:
        raise InvalidHeaderError("the update adds nothing to what is known", slot=update.attested.slot)
    return after
