"""Bugs of an outsider who knew the code that ships, and neither this list nor what the verdict looks at."""

from typing import Final

from gateway.simulation.mutants.planting import plant

DECISIONS = "htlc/decisions.py"
CHECKS, INVENTORY = "relayer/pump/checks.py", "relayer/inventory.py"
PIPELINE, FEES = "relayer/transactions/pipeline.py", "relayer/transactions/fees.py"

OUTSIDE: Final = (
    plant(
        "tower-refunds-one-leg",
        "A watchtower takes the initiator's lock back, and leaves the participant's.",
        DECISIONS,
        "    return tuple(Leg) if agreement.own_leg is None else (agreement.own_leg,)",
        "    return (agreement.own_leg or Leg.INITIATOR,)",
    ),
    plant(
        "gate-open-in-its-second",
        "A gate is still open in the very second in which it closes.",
        "htlc/timelocks.py",
        "    if left_s > right_s:",
        "    if left_s >= right_s:",
    ),
    plant(
        "place-is-not-kept",
        "The place of a lock is not written down, so that two locks may be sent to one.",
        CHECKS,
        "                return await self._database.write(take)",
        "                return free",
    ),
    plant(
        "watches-left-behind",
        "Exits of watches that were to share a transaction are not begun at all.",
        "relayer/pump/exits.py",
        "            go_alone(others)",
        "            others.clear()",
    ),
    plant(
        "quiet-blocks-are-skipped",
        "Time and finality pass in blocks with events, and in no others.",
        "relayer/pump/absorb.py",
        "    return any(fact.events for fact in facts) or any(",
        "    return any(fact.events for fact in facts) and any(",
    ),
    plant(
        "left-out-is-done",
        "What a shared transaction left out counts as done.",
        "relayer/pump/outcomes.py",
        "            if record.reverted or item.left_out is not None:",
        "            if record.reverted:",
    ),
    plant(
        "locked-reserves-nothing",
        "A promise reserves nothing once the initiator has locked.",
        INVENTORY,
        "        if not promise.funded:\n            found[promise.asset] += promise.amount",
        "        if not promise.locked:\n            found[promise.asset] += promise.amount",
    ),
    plant(
        "rise-of-one-per-cent",
        "What is signed again offers a hundredth more, which no node takes.",
        FEES,
        "MINIMUM_RISE_PER_MILLE: Final = 125",
        "MINIMUM_RISE_PER_MILLE: Final = 12",
    ),
    plant(
        "free-is-used",
        "A transaction that nodes forgot counts as overtaken though its sequence is free.",
        PIPELINE,
        "        if dropped and view is not None and view.latest > record.sequence:",
        "        if dropped and view is not None and view.latest >= record.sequence:",
    ),
    plant(
        "lock-outlives-its-time",
        "A lock may be mined long after it is of use, and an exit only until its deadline.",
        "relayer/transactions/signing.py",
        "        if deadline_ns is not None and not exits:",
        "        if deadline_ns is not None and exits:",
    ),
    plant(
        "old-prices-are-taken",
        "A price is good for ever: an option that nobody pays for.",
        "relayer/provider/quoting.py",
        "    if now >= quote.expires_at:",
        "    if now < 0:",
    ),
    plant(
        "one-voice-says-final",
        "One endpoint is enough to call a transaction final that others see in a block.",
        "adapters/endpoints/transactions.py",
        " if outcome.final])) >= quorum\n",
        " if outcome.final])) >= 1\n",
    ),
    plant(
        "later-epochs-pass",
        "Whoever had a lease before goes on, since the epoch of who has it now is higher.",
        "core/runtime/leases.py",
        "    if row is None or row.epoch != epoch:",
        "    if row is None or row.epoch < epoch:",
    ),
    plant(
        "failed-once-is-failed",
        "An exit that failed once is never asked for again.",
        DECISIONS,
        "    return attempt.failed_at_s is None or clock.head.seconds > attempt.failed_at_s\n\n\ndef _watch_waited",
        "    return attempt.failed_at_s is None\n\n\ndef _watch_waited",
    ),
    plant(
        "copy-knows-no-past",
        "A client with an older copy of its store begins a swap as if nothing had been locked.",
        "relayer/client/swap_client.py",
        "            past = past_events(connection, found.agreement)",
        "            past = past_events(connection, found.agreement)[:0]",
    ),
    plant(
        "means-are-not-asked-twice",
        "Neither limits nor purse are looked at when the provider funds.",
        CHECKS,
        "        waits = [self._may_be_funded(state, ours)]",
        "        self._may_be_funded(state, ours).close()\n        waits = []",
    ),
)
