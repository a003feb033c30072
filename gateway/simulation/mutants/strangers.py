"""Bugs as somebody from outside would plant them, in the rooms one after the other; written before any of them was
played."""

from typing import Final

from gateway.simulation.mutants.planting import Mutant, plant

DECISIONS, FACTS, CHECKS = "htlc/decisions.py", "htlc/facts.py", "relayer/pump/checks.py"
INVENTORY, PIPELINE = "relayer/inventory.py", "relayer/transactions/pipeline.py"
SUBMISSION, ORDERS = "relayer/transactions/submission.py", "relayer/transactions/orders.py"
SENDER = "adapters/endpoints/transactions.py"

STRANGE: Final[tuple[Mutant, ...]] = (
    plant(
        "newest-lock-is-the-lock",
        "A second lock under the agreed terms takes the place of the first.",
        FACTS,
        "    if leg.lock is not None and leg.lock_id != event.lock_id:",
        "    if leg.lock is not None and not leg.lock_id:",
    ),
    plant(
        "refund-once-final",
        "A lock is taken back once a final block has reached its timelock, not the newest one.",
        DECISIONS,
        "    return clock is not None and clock.head >= state.agreement.terms(leg).timelock",
        "    return clock is not None and clock.finalized >= state.agreement.terms(leg).timelock",
    ),
    plant(
        "woken-too-late",
        "A swap hears of the time a while after its timelock.",
        DECISIONS,
        "    return t_a, t_b if open_gate is None else t_b - open_gate",
        "    return t_a + 20, t_b + 20 if open_gate is None else t_b - open_gate",
    ),
    plant(
        "alarms-stop-nothing",
        "A chain that replaced a finalized block is trusted as before.",
        CHECKS,
        "        if alarm := await self._database.read(look):\n",
        "        if (alarm := await self._database.read(look)) and not chains:\n",
    ),
    plant(
        "everybody-comes-first",
        "A promise is held against all others, also those that came after it.",
        CHECKS,
        "            if promise.swap_id != own.swap_id and promise.comes_before(own)",
        "            if promise.swap_id != own.swap_id",
    ),
    plant(
        "what-is-promised-is-free",
        "Inventory that other swaps were promised is promised again.",
        INVENTORY,
        "        free = held[asset] - taken[asset]\n        if free >= wanted[asset]:",
        "        free = held[asset]\n        if free >= wanted[asset]:",
    ),
    plant(
        "windows-are-not-counted",
        "All swaps may have their timelocks in one window.",
        INVENTORY,
        "        sum(promise.amount for promise in of_asset if promise.window(window_s) == new.window(window_s)),",
        "        sum(promise.amount for promise in of_asset if promise.timelock_s == new.window(window_s)),",
    ),
    plant(
        "gaps-are-not-filled",
        "A sequence that nothing uses keeps everything behind it from being mined.",
        PIPELINE,
        "        for sequence in [one for one in missing if one not in in_doubt][:MAX_FILLERS]:",
        "        for sequence in missing[:0]:",
    ),
    plant(
        "one-look-is-enough",
        "A sequence that one look shows as used was used by somebody else.",
        PIPELINE,
        "        if looks < (EXIT_LOOKS if record.exits else LOOKS):",
        "        if looks < 1:",
    ),
    plant(
        "purse-is-not-asked",
        "Whatever is signed, the purse is taken to cover it.",
        ORDERS,
        "        if free < amount:\n            raise UnaffordableError(",
        "        if free < -amount:\n            raise UnaffordableError(",
    ),
    plant(
        "replacements-outbid-nothing",
        "What is signed again offers no more than before.",
        "relayer/transactions/fees.py",
        "    return -(-fee * (1000 + MINIMUM_RISE_PER_MILLE) // 1000)",
        "    return fee",
    ),
    plant(
        "one-doubt-refuses",
        "One endpoint that says a transaction would fail is enough to refuse it.",
        SENDER,
        "        if len(_operators(bad)) >= voters.quorum or (bad and not good):",
        "        if bad:",
    ),
    plant(
        "lease-without-epochs",
        "Whoever takes a lease gets the epoch of who had it.",
        "core/runtime/leases.py",
        "max(row.epoch + 1, now_ns)",
        "max(row.epoch, 1)",
    ),
    plant(
        "watches-pay-for-one-lock-each",
        "Every watch that names a lock sends its own exit.",
        "relayer/pump/neighbours.py",
        "        if row.swap_id == asked.swap_id:",
        "        if row.swap_id:",
    ),
    plant(
        "one-endpoint-says-what-we-hold",
        "The purse is what the endpoint says that is asked first.",
        "adapters/endpoints/ports.py",
        '            return BaseUnits(voters.reached(held, f"balance of {account}"))',
        "            return BaseUnits(held[0][1])",
    ),
)
