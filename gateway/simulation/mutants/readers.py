"""Bugs of somebody else who had read the product alone, and no towns: those that are of no other one's kind."""

from typing import Final

from gateway.simulation.mutants.planting import Edit, Mutant, plant

READ: Final[tuple[Mutant, ...]] = (
    plant(
        "reveal-gate-by-the-initiators-chain",
        "The time gate of the reveal is computed with the timing of the initiator's chain, not of the "
        "one that is claimed on.",
        "htlc/decisions.py",
        "timelocks.check_reveal(now_s, agreement.participant_leg.timelock, agreement.participant_timing, policy)",
        "timelocks.check_reveal(now_s, agreement.participant_leg.timelock, agreement.initiator_timing, policy)",
    ),
    plant(
        "a-reveal-that-failed-keeps-the-claim-back",
        "Once its preimage is public, an initiator whose reveal failed neither reveals nor claims any more.",
        "htlc/decisions.py",
        "if state.agreement.role is Role.INITIATOR and own_reveal is not None and own_reveal.alive:",
        "if state.agreement.role is Role.INITIATOR and own_reveal is not None:",
    ),
    plant(
        "a-reverted-refund-is-ignored",
        "While refunding, a transaction that reverted is not noted, so that the refund is never asked for again.",
        "htlc/table.py",
        "        events.LockRefused: _DECIDED,\n    },\n}\n_ENDED: Final",
        "        events.LockRefused: _DECIDED,\n        events.EffectReverted: _DECIDED,\n    },\n}\n_ENDED: Final",
    ),
    plant(
        "client-takes-the-amount-from-the-answer",
        "The client builds the participant's leg with the amount of the relayer's answer instead of the quoted one.",
        "relayer/client/agreement.py",
        "        amount=quote.participant_amount,\n",
        "        amount=BaseUnits(int(answer.participant.terms.amount)),\n",
    ),
    plant(
        "vault-keeps-the-newest-preimages-only",
        "Opening a swap forgets the preimages of the swaps that the client runs next to it.",
        "relayer/client/store.py",
        "self._known.update({preimage.hashlock(): preimage for preimage in preimages})",
        "self._known = {preimage.hashlock(): preimage for preimage in preimages}",
    ),
    plant(
        "ours-go-alone-only-after-a-good-batch",
        "When a batch of exits comes to nothing, its exits are never started one by one, and their lanes stay taken.",
        "relayer/pump/exits.py",
        "                await self._send_together(here, exits, in_time=True)\n        go_alone(ours)\n",
        "                await self._send_together(here, exits, in_time=True)\n            go_alone(ours)\n",
    ),
    plant(
        "windows-of-timelocks-are-rounded",
        "A timelock falls into the nearest window instead of the one that it lies in, so that a "
        "window's limit is broken by up to as much again.",
        "relayer/inventory.py",
        "return self.timelock_s // window_s\n",
        "return round(self.timelock_s / window_s)\n",
    ),
    Mutant(
        "an-expired-lock-counts-as-dropped",
        "A lock that expired for good is reported as dropped, which may come back, and no swap ends since it was never "
        "locked.",
        (
            Edit(
                "relayer/pump/outcomes.py",
                "        case TransactionStatus.REFUSED:\n"
                "            return events.EffectDropped(kind, sequence)\n"
                "        case TransactionStatus.SUPERSEDED | TransactionStatus.EXPIRED:\n",
                "        case TransactionStatus.REFUSED | TransactionStatus.EXPIRED:\n"
                "            return events.EffectDropped(kind, sequence)\n"
                "        case TransactionStatus.SUPERSEDED:\n",
            ),
            Edit(
                "htlc/decisions.py",
                "status is LegStatus.ABSENT and not was_final and _can_never_be_claimed(state, own)",
                "status is LegStatus.ABSENT and was_final and _can_never_be_claimed(state, own)",
            ),
        ),
    ),
    plant(
        "a-replacement-is-rounded-down",
        "A small fee is not raised at all, so that no node takes the replacement.",
        "relayer/transactions/fees.py",
        "return -(-fee * (1000 + MINIMUM_RISE_PER_MILLE) // 1000)",
        "return fee * (1000 + MINIMUM_RISE_PER_MILLE) // 1000",
    ),
    plant(
        "a-batch-without-an-item-is-signed-whole",
        "The remembered body of a batch is signed again, with the locks in it that were to be left out.",
        "relayer/transactions/signing.py",
        "        if without:\n"
        "            left = [item.effect_key for number, item in enumerate(record.effects) if number not in without]\n"
        "            return None if self.compose is None else await self.compose(left)\n"
        "        if (kept := self.bodies.get(record.effect_key)) is not None:\n"
        "            return kept\n",
        "        if (kept := self.bodies.get(record.effect_key)) is not None:\n"
        "            return kept\n"
        "        if without:\n"
        "            left = [item.effect_key for number, item in enumerate(record.effects) if number not in without]\n"
        "            return None if self.compose is None else await self.compose(left)\n",
    ),
    plant(
        "of-two-answers-the-higher",
        "Right while all answer; when fewer do, a number counts as reached that a lone operator names.",
        "adapters/quorum.py",
        "return sorted(least.values(), reverse=True)[needed - 1] if len(least) >= needed else None",
        "return sorted(least.values(), reverse=True)[-needed] if len(least) >= needed else None",
    ),
    plant(
        "one-word-blocks-a-payment",
        "One endpoint that says that a payment would fail keeps us from funding and revealing, whatever a quorum says.",
        "adapters/endpoints/ports.py",
        '        if not await self._voters.agreed(pays, f"payment of {terms.amount} {terms.asset} to '
        '{terms.receiver}"):\n'
        "            raise blocked[0]\n",
        '        await self._voters.agreed(pays, f"payment of {terms.amount} {terms.asset} to {terms.receiver}")\n'
        "        if blocked:\n"
        "            raise blocked[0]\n",
    ),
    plant(
        "not-found-counts-as-a-refusal",
        "Endpoints that are behind refuse a lock for good, and its swap is called off.",
        "adapters/endpoints/voting.py",
        "return isinstance(answer, RejectedError) and not isinstance(answer, NotFoundError)\n\n\ndef _error_of",
        "return isinstance(answer, RejectedError)\n\n\ndef _error_of",
    ),
    plant(
        "a-watch-leaves-the-wrong-exit-to-our-own-swap",
        "A watch waits for ever for our own swap to refund the counterparty's lock, which that one never does.",
        "relayer/pump/neighbours.py",
        "leg is (own if isinstance(asked, effects.RefundLeg) else own.other)",
        "leg is (own.other if isinstance(asked, effects.RefundLeg) else own)",
    ),
    plant(
        "an-opening-is-judged-by-old-promises",
        "A new swap is held against the promises as they were when balances were read: two at once share one purse.",
        "relayer/provider/opening.py",
        "        self._judge.check(replace(new, proven=refusal is None), promised, means)\n",
        "        self._judge.check(replace(new, proven=refusal is None), means.promised, means)\n",
    ),
    plant(
        "the-fee-comes-off-what-the-initiator-pays",
        "Asked for a participant's amount, the relayer pays its fee instead of taking it.",
        "relayer/provider/quoting.py",
        "initiator = -(-(participant + pair.fee) * rate.denominator // rate.numerator)",
        "initiator = -(-(participant - pair.fee) * rate.denominator // rate.numerator)",
    ),
)
