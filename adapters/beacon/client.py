"""One beacon node's REST API, as far as light clients need it (ethereum/beacon-APIs, `beacon/light_client`)."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from adapters.beacon.forms import bootstrap_of, update_of
from adapters.observed import RpcMetrics, origin, reason_of
from core.model.beacon import BeaconNetwork
from core.model.errors import NotFoundError, RetryableError
from core.proofs.beacon.chain import MAX_UPDATES
from core.proofs.beacon.containers import Bootstrap, Update
from core.proofs.errors import MalformedProofError

TIMEOUT_S: Final = 15.0
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Thirty-two of mainnet's updates are about half of this."""
MAX_REASON_CHARS: Final = 200
_PATH: Final = "/eth/v1/beacon/light_client"

P = TypeVar("P")


class BeaconNode:
    """The node at `url`, over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def name(self) -> str:
        """The node without what may be a provider's key."""
        return origin(self._url)

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON at `path`.

        Raise `RetryableError` if the node does not answer in form, `NotFoundError` for what it does not have.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        try:
            async with self._session.get(
                self._url + path, params=query or {}, headers={"accept": "application/json"}, allow_redirects=False
            ) as response:
                if response.status == 404:
                    raise NotFoundError(f"{self.name} does not have {path.removeprefix(_PATH)[:MAX_REASON_CHARS]}")
                if response.status != 200:
                    raise RetryableError(f"{self.name} answers with status {response.status}")
                body = await response.content.read(MAX_ANSWER_BYTES + 1)
                while not response.content.at_eof() and len(body) <= MAX_ANSWER_BYTES:
                    body += await response.content.read(MAX_ANSWER_BYTES + 1 - len(body))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise RetryableError(f"{self.name} cannot be reached: {reason_of(error)[:MAX_REASON_CHARS]}") from error
        if len(body) > MAX_ANSWER_BYTES:
            raise RetryableError(f"{self.name} answers with more than {MAX_ANSWER_BYTES} bytes")
        try:
            return msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise RetryableError(f"{self.name} answers with something else than JSON") from error


class BeaconApi(BeaconNode):
    """Light client data of the node at `url`. Every method raises `RetryableError` if the node does not answer in form,
    `NotFoundError` for what it does not have. Nothing here is proven."""

    def __init__(self, url: str, network: BeaconNetwork, observed: RpcMetrics | None = None) -> None:
        super().__init__(url)
        self._network = network
        self._observed = observed

    async def bootstrap(self, root: bytes) -> Bootstrap:
        """The header with this root, and its committee."""
        return self._parsed(bootstrap_of, _data(await self._get(f"{_PATH}/bootstrap/0x{root.hex()}", {})))

    async def updates(self, first_period: int, count: int) -> list[Update]:
        """The node's best update of each period from `first_period` on, fewer if it has no more."""
        asked = {"start_period": str(first_period), "count": str(min(count, MAX_UPDATES))}
        found = await self._get(f"{_PATH}/updates", asked)
        if not isinstance(found, list) or len(found) > min(count, MAX_UPDATES):
            raise RetryableError(f"{self.name} answers with something else than {count} updates")
        return [self._parsed(update_of, _data(one)) for one in found]

    async def finality_update(self) -> Update:
        """The newest update that makes a header final."""
        return self._parsed(update_of, _data(await self._get(f"{_PATH}/finality_update", {})))

    def _parsed(self, parse: Callable[[Any, BeaconNetwork], P], data: Any) -> P:
        try:
            return parse(data, self._network)
        except MalformedProofError as error:
            raise RetryableError(f"{self.name} prints malformed light client data: {error.message}") from error

    async def _get(self, path: str, query: dict[str, str]) -> Any:
        if self._observed is None:
            return await self.get(path, query)
        with self._observed.calling(self.name, path.removeprefix(f"{_PATH}/").partition("/")[0]):
            return await self.get(path, query)


def _data(answer: Any) -> Any:
    return answer.get("data") if isinstance(answer, dict) else None
