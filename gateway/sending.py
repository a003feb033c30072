"""Sends one transaction and waits until a block holds it: for commands and stories, which have nothing to journal."""

from typing import Final

from core.model.errors import RetryableError, RevertedError
from core.model.ports import HeadSource, Signer, TransactionSender
from core.model.transactions import OutcomeStatus, UnsignedTransaction
from core.model.types import Height

LIFETIME_BLOCKS: Final = 50
"""Blocks after which a transaction that none of them holds never will be in one."""


async def send(
    sender: TransactionSender, heads: HeadSource, signer: Signer, transaction: UnsignedTransaction
) -> Height:
    """The height of the block that holds it.

    Raise `RevertedError` if the chain refuses it, `RetryableError` if it expired, and what the ports raise.
    """
    sequence = (await sender.sequences(signer.account)).latest
    last = Height((await heads.head()).head.height + LIFETIME_BLOCKS)
    request = sender.assemble(transaction, sequence, None, last)
    signed = sender.attach(request, await signer.sign(request))
    await sender.submit(signed)
    async for view in heads.heads():
        outcome = await sender.outcome(signed.hash)
        if outcome.status is OutcomeStatus.INCLUDED and outcome.block is not None:
            return outcome.block.height
        if outcome.status is OutcomeStatus.REVERTED:
            raise RevertedError(f"{transaction.summary}: {outcome.reason}", reason=outcome.reason)
        if outcome.status is OutcomeStatus.DROPPED and view.head.height > last:
            raise RetryableError(f"{transaction.summary}: no block has held it for {LIFETIME_BLOCKS} blocks")
    raise RetryableError("the chain reports no new blocks any more")
