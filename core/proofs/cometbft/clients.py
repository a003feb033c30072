"""The ports of a light client of a CometBFT chain that a contract on another chain keeps."""

from typing import Protocol

from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, Height
from core.proofs.cometbft.types import LightBlock, ValidatorSet


class SignedHeaders(Protocol):
    """Signed headers of one chain, as an endpoint shows them."""

    async def light_block(self, height: Height) -> LightBlock:
        """Return the header with its commit and validators, which agree with each other, and the next validators if the
        header announces others. Raise `RetryableError`, `NotFoundError` for a height that is pruned."""


class NewestHeader(Protocol):
    """The newest proven header: its height, and its time in nanoseconds since 1970."""

    @property
    def height(self) -> Height: ...
    @property
    def time_ns(self) -> int: ...
    @property
    def frozen(self) -> bool:
        """Return true if two headers that contradict each other were shown: nothing is proven any more."""


class HeaderClient(Protocol):
    """A light client in a contract, unproven, and the calls that bring it forward.

    All raise `RetryableError` if its chain does not answer, `RejectedError` if there is no such contract.
    """

    async def newest(self) -> NewestHeader: ...

    async def trusting_period_s(self) -> int:
        """For how long after its newest header the client is of use."""

    async def trusts(self, block: LightBlock) -> bool:
        """Return true if the block's own validators may sign its height."""

    async def introduced(self, validators_hash: bytes) -> bool:
        """Return true if somebody has said who the members of this validator set are."""

    async def update(self, block: LightBlock, sender: AccountId) -> UnsignedTransaction:
        """Return the transaction that proves a header. Raise `RejectedError` if too few signatures can be checked."""

    async def introduce(self, validators: ValidatorSet, sender: AccountId) -> UnsignedTransaction:
        """Return the transaction that introduces a validator set. Raise `RejectedError` for keys of another kind."""

    async def cost(self, transaction: UnsignedTransaction) -> int:
        """Return the most that one of these transactions may cost, in the base units that pay for it."""
