"""Bugs of somebody who had read the product alone, and no towns: unnoticed at first, or by one town in two hundred."""

from typing import Final

from gateway.simulation.mutants.planting import Mutant, plant

UNNOTICED: Final[tuple[Mutant, ...]] = (
    plant(
        "gap-by-the-other-lag",
        "The timelocks are too near each other if the participant's chain lags more than the initiator's.",
        "htlc/timelocks.py",
        '        "lag_B": participant.lag_s,\n        "O_B": participant.observation_s,\n        "2·I_A"',
        '        "lag_B": initiator.lag_s,\n        "O_B": initiator.observation_s,\n        "2·I_A"',
    ),
    plant(
        "ends-of-copies-count",
        "Whoever takes back a lock of their own under a swap's hashlock ends the swap's leg for all who read that.",
        "htlc/facts.py",
        "    facts = state.leg(leg)\n    if facts.lock_id != lock_id:\n        return state\n",
        "    facts = state.leg(leg)\n    if facts.lock_id is None:\n        return state\n",
    ),
    plant(
        "new-uses-join-acknowledged-ones",
        "A foreign use that follows one which the operator has acknowledged stops nothing: another hand has the key.",
        "relayer/transactions/accounts.py",
        "joined = [row for row in known if row.end_sequence == first and row.acknowledged_ns is None]",
        "joined = [row for row in known if row.end_sequence == first]",
    ),
    plant(
        "reverted-payments-are-paid",
        "A withdrawal that reverted in its block is shown as paid.",
        "relayer/treasury/teller.py",
        "    if record.status is TransactionStatus.FINAL and not record.cancelled and not record.reverted:",
        "    if record.status is TransactionStatus.FINAL and not record.cancelled:",
    ),
    plant(
        "patience-since-the-first-form",
        "What has waited once is outbid at every look, by its own sender: fees climb to their ceiling for nothing.",
        "relayer/transactions/pipeline.py",
        "now_s, signed_s = self._clock.now(), newest.signed_ns / NS_PER_S",
        "now_s, signed_s = self._clock.now(), record.created_ns / NS_PER_S",
    ),
    plant(
        "recovery-wants-both-legs-open",
        "Whoever has lost the database does not find a swap again of which one leg is settled, and loses the other.",
        "relayer/recovery.py",
        "            if LockStatus.LOCKED not in (theirs.status, ours.status):\n",
        "            if {LockStatus.LOCKED} != {theirs.status, ours.status}:\n",
    ),
    plant(
        "bids-look-behind",
        "What stands before an urgent exit is not outbid with it, and keeps it from being mined.",
        "relayer/transactions/urgency.py",
        "sorted(records, key=lambda one: (one.sequence, one.id), reverse=True)",
        "sorted(records, key=lambda one: (one.sequence, one.id))",
    ),
    plant(
        "alarms-stop-first-forms-only",
        "A lock that waits is bid for again though its counterparty's may be gone with a finalized block.",
        "relayer/pump/acting.py",
        "        if alarm := alarm_about(connection, (state.agreement.terms(leg).chain for leg in Leg)):\n",
        "        if alarm := alarm_about(connection, ()):\n",
    ),
    plant(
        "checks-outlast-allowances",
        "What was checked before an allowance, some blocks ago, is good enough for the lock behind it.",
        "relayer/pump/acting.py",
        "            if self._clock.monotonic() - checked_s > FRESH_S:\n",
        "            if self._clock.monotonic() - checked_s > 1_000.0:\n",
    ),
    plant(
        "copies-lock-next-to-unknown-uses",
        "A client with an older copy of its store locks while a lock of the newer one may still come back.",
        "relayer/client/process.py",
        "None if own is None or state.swap_id not in self._inherited else",
        "None if own is None or state.swap_id else",
    ),
    plant(
        "copies-believe-a-refusal",
        "A client with a copy of its store gives its lock up as it is refused: by the one that the original made.",
        "relayer/client/process.py",
        "        if view.finalized.time < until or tip is None or tip.height < view.finalized.height:\n",
        "        if tip is None:\n",
    ),
    plant(
        "intended-reveals-cannot-be-cancelled",
        "The client calls a swap off in the moment before its reveal is signed, and reveals all the same.",
        "relayer/client/swap_client.py",
        "            if (intended := _unsigned_reveal(connection, found.id)) is not None:\n",
        "            if (intended := None) is not None:\n",
    ),
)
