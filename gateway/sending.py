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
    return await height_of(sender, heads, signed.hash, last, transaction.summary)


async def height_of(sender: TransactionSender, heads: HeadSource, tx_hash: bytes, last: Height, summary: str) -> Height:
    """Wait for the block that holds a transaction which was submitted, up to block `last`, and return its height.

    Raise `RevertedError` if the chain refused it, `RetryableError` if no block up to `last` holds it.
    """
    async for view in heads.heads():
        outcome = await sender.outcome(tx_hash)
        if outcome.status is OutcomeStatus.INCLUDED and outcome.block is not None:
            return outcome.block.height
        if outcome.status is OutcomeStatus.REVERTED:
            raise RevertedError(f"{summary}: {outcome.reason}", reason=outcome.reason)
        if outcome.status is OutcomeStatus.DROPPED and view.head.height > last:
            raise RetryableError(f"{summary}: no block up to {last} holds it")
    raise RetryableError("the chain reports no new blocks any more")
