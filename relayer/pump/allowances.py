"""Token allowances ahead of time: a lock that first has to wait for one loses a block, and may miss its deadline."""

from typing import Final

from core.model.ports import ChainAccess
from core.model.types import AssetId, BaseUnits, ChainTime, Hashlock, LockTerms
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.records import TransactionRecord, TransactionStatus

MAX_PREPARATIONS: Final = 3
"""Transactions that one lock may need before it."""


async def allow_ahead(
    access: ChainAccess, pipeline: Pipeline, asset: AssetId, amount: BaseUnits
) -> TransactionRecord | None:
    """Send what a lock of `amount` by the pipeline's account would need first, one transaction after the other (an
    allowance may have to be set to zero before it is raised), and wait until it is in a block.

    Return the last one, None if nothing was needed. Raise `RetryableError`, and `RevertedError` if the chain would
    refuse it.
    """
    head = (await access.heads.head()).head
    account = pipeline.account
    later = ChainTime(access.chain, head.time.seconds + 1)
    terms = LockTerms(asset, amount, account, account, Hashlock(bytes(32)), later)
    sent: TransactionRecord | None = None
    for number in range(MAX_PREPARATIONS):
        if (needed := await access.legs.prepare(terms)) is None:
            break
        sent = await pipeline.send(f"allowance/{asset}/{head.height}/{number}", needed)
        await pipeline.until(sent.effect_key, TransactionStatus.INCLUDED, TransactionStatus.FINAL)
    return sent
