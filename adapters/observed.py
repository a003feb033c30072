"""Metrics of the calls to an operator's endpoints: how many, of which kind, and how they fail."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp

from core.model.errors import CausewayError
from core.model.types import ChainId
from core.runtime.metrics import Metrics

_AUTHORITY_END: Final = re.compile("[/?#]")


def origin(url: str) -> str:
    """An endpoint without user, path and query, where providers put their keys."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{_AUTHORITY_END.split(rest, maxsplit=1)[0].rpartition('@')[2]}"


def reason_of(error: Exception) -> str:
    """Why a call failed, without the address: some of aiohttp's errors quote the whole of it."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"it answers with status {error.status}"
    if isinstance(error, aiohttp.InvalidURL):
        return "its address is not one"
    return str(error) or type(error).__name__


class RpcMetrics:
    """Calls to the endpoints of one chain. Endpoints are named by scheme and host: paths may hold a provider's key."""

    def __init__(self, metrics: Metrics, chain: ChainId) -> None:
        self._chain = chain
        by_call = ["chain", "endpoint", "method"]
        self._calls = metrics.counter("rpc_calls_total", "Calls to endpoints", by_call)
        self._errors = metrics.counter(
            "rpc_errors_total", "Calls to endpoints that failed, by the code of the error", [*by_call, "error"]
        )

    def called(self, endpoint: str, method: str) -> None:
        self._calls.labels(self._chain, endpoint, method).inc()

    def failed(self, endpoint: str, method: str, error: CausewayError) -> None:
        self._errors.labels(self._chain, endpoint, method, error.code).inc()

    @contextmanager
    def calling(self, endpoint: str, *methods: str) -> Iterator[None]:
        """Count these calls, made in one request, and a failure of the request as one of each."""
        for method in methods:
            self.called(endpoint, method)
        try:
            yield
        except CausewayError as error:
            for method in methods:
                self.failed(endpoint, method, error)
            raise
