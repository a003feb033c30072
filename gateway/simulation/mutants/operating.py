"""Bugs in what operators do, and in what they run on: leading, withdrawals, restoring, switches, prices, webhooks."""

from typing import Final

from gateway.simulation.mutants.planting import Edit, Mutant, plant

LEADERSHIP, TELLER = "core/runtime/leadership.py", "relayer/treasury/teller.py"
RECOVERY, GUARD, CONDITIONS = "relayer/recovery.py", "relayer/guard.py", "relayer/conditions.py"
PRICING, HOOKS, HOOK_ROWS = (
    "relayer/provider/pricing.py",
    "relayer/notices/webhooks.py",
    "relayer/notices/webhook_rows.py",
)

OPERATING: Final[tuple[Mutant, ...]] = (
    plant(
        "standby-takes-over-at-once",
        "Whoever stands by takes the lead from a process that is well, before it renews its lease.",
        LEADERSHIP,
        "self._clock.monotonic() - since_s >= TERM_S:",
        "self._clock.monotonic() - since_s >= 2 * LOOK_S:",
    ),
    plant(
        "standby-waits-for-ever",
        "Nobody takes the lead from a process that has fallen silent.",
        LEADERSHIP,
        "self._clock.monotonic() - since_s >= TERM_S:",
        "self._clock.monotonic() - since_s >= 1_000 * TERM_S:",
    ),
    plant(
        "withdrawal-takes-what-is-promised",
        "A withdrawal leaves nothing for swaps that are agreed, nor gas for exits.",
        TELLER,
        "        return kept_by_swaps(connection, account, costs, self._clock.now_ns(), account in self._others)",
        "        return {}",
    ),
    plant(
        "any-seal-will-do",
        "Whoever can write to the database can have money paid out.",
        TELLER,
        "        if not self._policy.seal.holds(order, seal):",
        "        if not order:",
    ),
    plant(
        "any-destination-will-do",
        "A withdrawal goes to accounts that the configuration does not name.",
        TELLER,
        "            self._policy.check_destination(order.receiver)\n",
        "",
    ),
    plant(
        "sent-withdrawals-stay-asked",
        "A withdrawal that was sent is not followed to its end.",
        TELLER,
        "        await self._database.write(partial(orders.change, order=order, status=WithdrawalStatus.SENT))\n",
        "",
    ),
    plant(
        "cancelled-withdrawals-are-paid",
        "A withdrawal that was called off, or that expired, counts as paid.",
        TELLER,
        "    if record.status is TransactionStatus.FINAL and not record.cancelled and not record.reverted:",
        "    if not record.reverted:",
    ),
    Mutant(
        "withdrawals-are-paid-again",
        "An order is sent once more at each look, while its first transaction is on its way.",
        (
            Edit(
                TELLER,
                "        await self._database.write(partial(orders.change, order=order, status="
                "WithdrawalStatus.SENT))\n",
                "",
            ),
            Edit(
                TELLER,
                "        await pipeline.send(\n            order.effect_key,\n",
                "        await pipeline.send(\n            f'{order.effect_key}-{self._clock.now_ns()}',\n",
            ),
        ),
    ),
    plant(
        "restore-forgets-half-claimed-swaps",
        "Restoring from the chains leaves a swap alone whose own leg is claimed already.",
        RECOVERY,
        "            if LockStatus.LOCKED not in (theirs.status, ours.status):",
        "            if ours.status is not LockStatus.LOCKED:",
    ),
    plant(
        "guard-sets-nothing",
        "Relayers offer as before, whatever their guard sees.",
        GUARD,
        "        self._board.own = self._conditions.see(looks, now_ns, self._clock.monotonic())",
        "        self._conditions.see(looks, now_ns, self._clock.monotonic())",
    ),
    plant(
        "guard-lifts-nothing",
        "What a guard has stopped stands still for ever.",
        CONDITIONS,
        "        elif self.since_ns is not None and self._good >= self.good:",
        "        elif self.since_ns is None and self._good >= self.good:",
    ),
    plant(
        "old-prices-are-quoted",
        "A price is quoted however old it is.",
        PRICING,
        "    if age_s > bounds.max_age_s:",
        "    if age_s > 1_000 * bounds.max_age_s:",
    ),
    plant(
        "jumps-are-followed",
        "A price is followed however far it jumps.",
        PRICING,
        "    return abs(seen - known) * BPS <= known * bps",
        "    return abs(seen - known) >= 0",
    ),
    plant(
        "spread-is-forgotten",
        "Quotes are made at the price itself.",
        PRICING,
        "    left = value * Fraction(BPS - offer.spread_bps, BPS) * (1 - premium(offer.volatility_bps, lock_s))",
        "    left = value * (1 - premium(offer.volatility_bps, lock_s))",
    ),
    plant(
        "taken-messages-are-sent-again",
        "A webhook's answer is not believed: what it took is sent again.",
        HOOKS,
        "        if 200 <= status < 300:\n            return Answer(DeliveryStatus.TAKEN)\n",
        "",
    ),
    plant(
        "any-answer-is-taken",
        "A message that a webhook refused counts as delivered.",
        HOOKS,
        "        if 200 <= status < 300:",
        "        if 200 <= status < 500:",
    ),
    plant(
        "messages-without-their-time",
        "The signature of a message does not cover its timestamp.",
        HOOKS,
        '"webhook-signature": signature(secret, name, now_s, body),',
        '"webhook-signature": signature(secret, name, 0, body),',
    ),
    plant(
        "first-change-is-the-last",
        "A webhook hears of a swap's first change only.",
        HOOK_ROWS,
        "known.get((hook, row.swap_id), -1) < row.version",
        "known.get((hook, row.swap_id), -1) < 0",
    ),
)
