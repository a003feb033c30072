"""Bugs on the way to the chain and back: sequences, fees, expiries, outcomes."""

from typing import Final

from gateway.simulation.mutants.planting import Edit, Mutant, plant

PIPELINE, SIGNING = "relayer/transactions/pipeline.py", "relayer/transactions/signing.py"
FEES, ORDERS = "relayer/transactions/fees.py", "relayer/transactions/orders.py"

SENDING: Final = (
    Mutant(
        "no-fee-is-ever-raised",
        "A transaction that waits is never outbid.",
        (
            Edit(
                FEES,
                (
                    "    return waited >= patience or (bid.max_fee < market.base_fee + min(bid.priority_fee, "
                    "market.priority_fee))"
                ),
                "    return False",
            ),
        ),
    ),
    Mutant(
        "dropped-is-forgotten",
        "What nodes dropped, or a reorg took out, is not sent again.",
        (
            Edit(
                PIPELINE,
                "        return dropped or urgency.exits or record.cancelling",
                "        return False",
            ),
        ),
    ),
    Mutant(
        "expired-is-forgotten",
        "An exit that is about to expire is not signed again.",
        (
            Edit(
                PIPELINE,
                "            return left <= overlap and await self._sign_again(record, None)",
                "            return False",
            ),
        ),
    ),
    Mutant(
        "gate-forgotten-when-signed-again",
        "A lock is signed again though its gate has closed meanwhile.",
        (
            Edit(
                PIPELINE,
                "carried if self._speaks_against(c, item, in_time) is not None}",
                "carried if item.deadline_ns is not None and self._clock.now_ns() >= item.deadline_ns}",
            ),
        ),
    ),
    Mutant(
        "sequence-from-the-chain",
        "The next sequence is what the chain counts, whatever waits for a block.",
        (
            Edit(
                SIGNING,
                "sequences.free_sequence(connection, chain, account, count, exits=order.exits, doubted=doubted)",
                "count",
            ),
            Edit(
                ORDERS,
                "    if not _is_free(connection, chain, account, sequence, row.next_sequence, unused):",
                "    if unused is None:",
            ),
        ),
    ),
    plant(
        "no-fence",
        "A process that was paused goes on signing next to the one that took over.",
        "core/runtime/leases.py",
        "    if row is None or row.epoch != epoch:",
        "    if row is None:",
    ),
    plant(
        "included-is-final",
        "What stands in a block is never looked at again.",
        PIPELINE,
        "        status = TransactionStatus.FINAL if outcome.final else TransactionStatus.INCLUDED\n",
        "        status = TransactionStatus.FINAL\n",
    ),
    plant(
        "unanswered-is-dropped",
        "What no endpoint speaks of for a moment is noted as refused.",
        PIPELINE,
        "            if again and record.exits and await self._expires(record, unused=False):\n"
        "                return False\n"
        "            return again and not await self._over(record, in_time=True)\n",
        "            await self._note(record, TransactionStatus.REFUSED, reason='nobody knows of it')\n"
        "            return False\n",
    ),
    plant(
        "no-limit-to-a-bid",
        "A better bid is twenty times as high as the market asks.",
        FEES,
        "    max_fee = max(max_fee, tip)\n    return None if max_fee > ceiling else FeeBid(max_fee, tip)",
        "    return FeeBid(20 * max_fee, 20 * tip)",
    ),
    plant(
        "what-was-taken-out-is-locked",
        "The swap of a lock that was taken out of a batch goes on as if it were locked.",
        PIPELINE,
        "    reasons |= dict.fromkeys(attempt.without, TAKEN_OUT)\n",
        "",
    ),
    plant(
        "one-out-all-out",
        "Once a lock was taken out of a batch, the swaps of the others hear that they are not locked either.",
        PIPELINE,
        "    reasons |= dict.fromkeys(attempt.without, TAKEN_OUT)\n",
        "    reasons |= dict.fromkeys(range(len(record.items)), TAKEN_OUT)\n",
    ),
    plant(
        "all-of-it-stays-in-the-batch",
        "A batch that is signed again has every lock in it, however late.",
        PIPELINE,
        "            if await self._sign_again(record, bid, without=record.newest.without | over):",
        "            if await self._sign_again(record, bid):",
    ),
    Mutant(
        "late-locks-are-not-cancelled",
        "A lock whose time is over stays where it may be mined, and is outbid like any other.",
        (
            Edit(
                PIPELINE,
                "        if over := await self._over(record, in_time=False):",
                "        if over := frozenset[int]():",
            ),
            Edit(
                PIPELINE,
                "        over = await self._over(record, in_time=True)\n        if record.cancelling",
                "        over = frozenset[int]()\n        if record.cancelling",
            ),
        ),
    ),
)
