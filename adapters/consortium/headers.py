"""Signed headers of the ledger's chain, for light clients that others keep of it."""

from collections.abc import Sequence

from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.types import Height
from core.proofs.cometbft.clients import SignedHeaders
from core.proofs.cometbft.types import LightBlock


class FailoverHeaders:
    """`SignedHeaders` of several endpoints: the first that has the header. A header proves itself to who takes it."""

    def __init__(self, sources: Sequence[SignedHeaders]) -> None:
        if not sources:
            raise RejectedError("there is no endpoint to ask")
        self._sources = tuple(sources)

    async def light_block(self, height: Height) -> LightBlock:
        """Raise what the last endpoint raises; one may have pruned what another keeps."""
        failure: RetryableError | NotFoundError | None = None
        for source in self._sources:
            try:
                return await source.light_block(height)
            except (RetryableError, NotFoundError) as error:
                failure = error
        assert failure is not None
        raise failure
