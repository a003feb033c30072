"""Questions to the chain before an exit is signed. It waits for none of the answers for long."""

import asyncio
from typing import Final

from core.model.errors import FatalError, RevertedError
from core.model.transactions import UnsignedTransaction
from core.runtime.logging import get_logger
from relayer.pump.hands import ActingChain

LOOK_S: Final = 3.0
"""How long an exit asks for what it can do without: an estimate, or a look at its lock if it failed before."""

log = get_logger("relayer.pump.looks")


async def fitted(here: ActingChain, unsigned: UnsignedTransaction, tries: int) -> UnsignedTransaction:
    """With room for what it does now, or as it is if the chain does not say soon: an exit waits for no estimate."""
    try:
        async with asyncio.timeout(LOOK_S):
            return await here.access.transactions.fitted(unsigned, tries)
    except FatalError:
        raise
    except Exception as error:
        log.warning("goes out without an estimate", summary=unsigned.summary, reason=str(error) or "it takes too long")
        return unsigned


def is_looked_at(tries: int) -> bool:
    """Return true if an exit of our own is simulated before it is signed once more. The first and the second are not,
    nor one now and then, four times as far apart each time: a node that errs keeps no exit back for ever, and a token
    that does not move for hours costs the gas of a few tries, and not what the exits of other swaps need."""
    while tries > 1 and tries % 4 == 0:
        tries //= 4
    return tries > 1


async def would_succeed(here: ActingChain, unsigned: UnsignedTransaction) -> None:
    """Raise `RevertedError` if the chain says soon that an exit would fail now. An exit waits for no other answer."""
    try:
        async with asyncio.timeout(LOOK_S):
            await here.access.transactions.simulate(unsigned)
    except (RevertedError, FatalError):
        raise
    except Exception as error:
        log.warning("goes out without a look", summary=unsigned.summary, reason=str(error) or "it takes too long")
