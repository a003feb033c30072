"""Token allowances ahead of time: a lock that first has to wait for one loses a block, and may miss its deadline."""

from core.model.ports import ChainAccess
from core.model.types import AssetId, BaseUnits, ChainTime, Hashlock, LockTerms
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.tables import TransactionRecord


async def allow_ahead(
    access: ChainAccess, pipeline: Pipeline, asset: AssetId, amount: BaseUnits
) -> TransactionRecord | None:
    """Send what a lock of `amount` by the pipeline's account would need first; None where nothing is needed.

    Wait for it with `pipeline.until`. Raises `RetryableError`, and `RevertedError` where the chain would refuse it.
    """
    head = (await access.heads.head()).head
    account = pipeline.account
    later = ChainTime(access.chain, head.time.seconds + 1)
    terms = LockTerms(asset, amount, account, account, Hashlock(bytes(32)), later)
    allowance = await access.legs.prepare(terms)
    if allowance is None:
        return None
    return await pipeline.send(f"allowance/{asset}/{head.height}", allowance)
