"""Payments to anybody, on chains that know such."""

import pytest

from adapters.conformance.harness import AMOUNT, ChainHarness, fee_bid, send
from core.model.errors import RejectedError
from core.model.ports import TransferBuilder
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, chain_of

OTHER_CHAIN = ChainId("eip155:999999")


def _transfers(harness: ChainHarness) -> TransferBuilder:
    if harness.access.transfers is None:
        pytest.skip("this chain makes no plain transfers")
    return harness.access.transfers


def _elsewhere(account: AccountId) -> AccountId:
    return AccountId(account.replace(chain_of(account), OTHER_CHAIN))


class TransferConformance:
    """`TransferBuilder`."""

    async def test_a_transfer_moves_what_it_says(self, harness: ChainHarness) -> None:
        transfers, state = _transfers(harness), harness.access.state
        for asset in harness.assets:
            payer, payee = await harness.account(), await harness.account()
            before = [await state.balance(one.account, asset) for one in (payer, payee)]
            payment = await transfers.transfer(payer.account, payee.account, asset, AMOUNT)
            cost = harness.access.transactions.cost(payment, await fee_bid(harness))
            await send(harness, payer, payment)
            after = [await state.balance(one.account, asset) for one in (payer, payee)]
            assert after[1] - before[1] == AMOUNT
            assert AMOUNT <= before[0] - after[0] <= cost[asset], "what it may take was known before"
            assert not payment.reveals

    async def test_a_transfer_that_cannot_be_is_refused(self, harness: ChainHarness) -> None:
        transfers = _transfers(harness)
        payer, payee = (await harness.account()).account, (await harness.account()).account
        asset = harness.assets[0]
        elsewhere = AssetId(asset.replace(chain_of(asset), OTHER_CHAIN))
        for sender, receiver, what, amount in (
            (payer, payee, asset, 0),
            (payer, payee, asset, -1),
            (payer, payee, asset, 2**256),
            (payer, _elsewhere(payee), asset, AMOUNT),
            (_elsewhere(payer), payee, asset, AMOUNT),
            (payer, payee, elsewhere, AMOUNT),
        ):
            with pytest.raises(RejectedError):
                await transfers.transfer(sender, receiver, what, BaseUnits(amount))
