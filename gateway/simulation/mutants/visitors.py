"""Bugs of somebody who had read the product alone, and others of their kinds; towns and verdict were made wider for
them."""

from typing import Final

from gateway.simulation.mutants.planting import Mutant, plant

VISITED: Final[tuple[Mutant, ...]] = (
    plant(
        "both-skews-by-the-initiators-timing",
        "The clock is held against the participant's chain by the bounds of the initiator's, which may be wider.",
        "htlc/decisions.py",
        "    timelocks.check_skew(participant_head, now_s, agreement.participant_timing)\n",
        "    timelocks.check_skew(participant_head, now_s, agreement.initiator_timing)\n",
    ),
    plant(
        "the-store-answers-the-fresh-preimage",
        "A quote that is opened again after a crash gets a preimage that is in no store.",
        "relayer/client/store.py",
        "                return Preimage(known.preimage)\n",
        "                return fresh\n",
    ),
    plant(
        "the-finalized-sequence-is-the-newest",
        "Over several endpoints a sequence counts as finally used as soon as it is in a block.",
        "adapters/endpoints/transactions.py",
        "        finals = [(member, view.finalized) for member, view in views if view.finalized is not None]\n",
        "        finals = [(member, view.latest) for member, view in views if view.finalized is not None]\n",
    ),
    plant(
        "a-lock-is-void-before-its-rival-is-final",
        "A lock is called impossible once something else that took its sequence was seen in blocks, final or not.",
        "relayer/transactions/pipeline.py",
        "        if record.exits or final:\n",
        "        if record.exits or looks:\n",
    ),
    plant(
        "refused-transactions-are-not-reported",
        "A swap does not hear that its exit was refused, so it never asks for it again.",
        "relayer/pump/outcomes.py",
        "            return events.EffectDropped(kind, sequence)\n",
        "            return None\n",
    ),
    plant(
        "gas-of-alike-swaps-is-reserved-once",
        "However many swaps are open between two chains, gas is kept for the exits of one.",
        "relayer/inventory.py",
        "        alike[promise.chains, promise.locks] += 1\n",
        "        alike[promise.chains, promise.locks] = 1\n",
    ),
    plant(
        "a-foreign-use-moves-no-sequence",
        "A use of our key by somebody else is noted again at each look: nothing but exits is signed from then on.",
        "relayer/transactions/accounts.py",
        "    table = relayer_foreign_uses\n"
        "    advance(connection, chain, account, end)\n"
        "    known = connection.execute(_uses(sa.select(table), chain, account).order_by(table.c.sequence)).all()\n",
        "    table = relayer_foreign_uses\n"
        "    known = connection.execute(_uses(sa.select(table), chain, account).order_by(table.c.sequence)).all()\n",
    ),
    plant(
        "no-heads-without-a-quorum",
        "While too few endpoints agree about what is final, no new block is followed: claims in it are not seen.",
        "adapters/endpoints/heads.py",
        "        except DisagreementError as error:\n"
        "            if not heard:\n"
        "                return None\n"
        "            try:\n"
        "                return await self._update(heard, self._agreed or await self._first_block(), error.message)\n"
        "            except CausewayError:\n"
        "                return None\n",
        "        except DisagreementError:\n            return None\n",
    ),
    plant(
        "an-exit-waits-for-the-count",
        "An exit is signed only once a quorum says how many sequences the chain counts.",
        "relayer/transactions/signing.py",
        "            self._counted(exits and not guarded), self.purse(assets, lenient=exits)\n",
        "            self._counted(False), self.purse(assets, lenient=exits)\n",
    ),
    plant(
        "an-exit-waits-for-the-purse",
        "An exit is signed only once a quorum says what the purse holds.",
        "relayer/transactions/signing.py",
        "            self._counted(exits and not guarded), self.purse(assets, lenient=exits)\n",
        "            self._counted(exits and not guarded), self.purse(assets, lenient=False)\n",
    ),
    plant(
        "a-watch-forgets-what-is-on-chain-already",
        "A watch never hears of what was on chain before it was registered, and claims and refunds nothing.",
        "relayer/watchtower.py",
        "        report_agreement(connection, legs, now_ns)\n"
        "        swaps.take(connection, agreement.swap_id, seen, now_ns=now_ns)\n"
        "        return True\n",
        "        report_agreement(connection, legs, now_ns)\n        return True\n",
    ),
    plant(
        "a-cancellation-supersedes-before-it-is-final",
        "A lock counts as impossible once its cancellation is in any block; a reorg may mine the lock after all.",
        "relayer/transactions/pipeline.py",
        "        if attempt.cancels and outcome.final:\n",
        "        if attempt.cancels:\n",
    ),
)
