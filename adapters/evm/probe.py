"""The offers and the history of each endpoint of an EVM chain, found out once at connect, with what follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from adapters.evm.blocks import MAX_BLOCK_RANGE
from adapters.evm.decode import RawHeader, header_of
from adapters.evm.endpoints import Endpoint
from adapters.evm.errors import refusal_in
from adapters.evm.heads import check_subscription
from adapters.evm.market import RawFeeHeader
from adapters.evm.names import hex_address
from adapters.evm.rpc import Call, RpcClient, quantity
from adapters.evm.words import Refusal
from core.model.errors import CausewayError, NotFoundError, RejectedError, RetryableError
from core.model.types import ChainId
from core.runtime.logging import get_logger

MAX_VERSION_CHARS: Final = 100
STATE_DEPTHS: Final = (0, 8, 32, 128)
"""Blocks below the head whose state is asked for; geth keeps 128."""
BATCH_CALLS: Final = MAX_BLOCK_RANGE + 1
"""Calls of the longest request that the adapter makes: the headers of a range, and the newest height."""

_HEADER: Final = RawHeader | None

log = get_logger("adapters.evm.probe")


@dataclass(frozen=True, slots=True)
class Identity:
    """Which chain an endpoint serves: its EIP-155 number, and the hash of its first block."""

    number: int
    genesis_hash: bytes


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """One endpoint as it presents itself. `url` is without path and query, where providers put their keys.

    `state_blocks`: how many blocks below the head have their state for certain. `finality_lag`: how many blocks the
    finalized one is below the head, None if the endpoint names none. `batch_calls`: how many calls it answered in one
    request, 0 if none were. `warnings`: what works less well, and why. `faults`: what cannot work.
    """

    url: str
    client: str = ""
    head: int = 0
    base_fees: bool = True
    finality_lag: int | None = None
    state_blocks: int = 0
    keeps_finalized_state: bool = False
    offers_receipts: bool = False
    offers_tip: bool = False
    offers_proofs: bool = False
    batch_calls: int = 0
    pushes_heads: bool | None = None
    answers: bool = True
    warnings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def facts(self) -> tuple[str, ...]:
        """Return what it offers, in words for people."""
        if not self.answers:
            return ()
        offered = {
            "blocks' receipts": self.offers_receipts,
            "a suggested tip": self.offers_tip,
            "proofs": self.offers_proofs,
            "base fees": self.base_fees,
        }
        final = " and of the finalized one" if self.keeps_finalized_state else ""
        return (
            self.client or "it does not say what it runs",
            f"{self.batch_calls:,} calls in one request",
            f"the state of the newest {self.state_blocks:,} blocks{final}",
            f"offers {', '.join(name for name, there in offered.items() if there) or 'no more than calls'}",
            *(() if self.pushes_heads is None else ("pushes heads" if self.pushes_heads else "pushes no heads",)),
        )

    def log(self, chain: ChainId) -> None:
        if self.answers:
            log.info(
                "an endpoint",
                chain=chain,
                endpoint=self.url,
                client=self.client,
                head=self.head,
                finality_lag=self.finality_lag,
                state_blocks=self.state_blocks,
                batch_calls=self.batch_calls,
            )
        for sentence in self.warnings:
            log.warning("an endpoint offers less", chain=chain, endpoint=self.url, what=sentence)
        for sentence in self.faults:
            log.error("an endpoint cannot serve", chain=chain, endpoint=self.url, what=sentence)


async def identity(chain: ChainId, client: RpcClient) -> Identity:
    """Raise `RetryableError` for an endpoint that does not answer."""
    number, first = await client.batch([Call("eth_chainId"), Call("eth_getBlockByNumber", ("0x0", False), _HEADER)])
    if first is None:
        raise RetryableError(f"{client} has no first block")
    return Identity(quantity(number), header_of(chain, first).ref.hash)


async def probe(chain: ChainId, client: RpcClient, endpoint: Endpoint, htlc: bytes) -> EndpointReport:
    """Ask for everything once that the adapter may want. An endpoint that does not answer is reported, too."""
    try:
        return await _probed(chain, client, endpoint, hex_address(htlc))
    except CausewayError as error:
        return unanswered(client, error)


def unanswered(client: RpcClient, error: CausewayError) -> EndpointReport:
    warning = f"it does not answer ({error.message}): until it does, it counts against the quorum"
    return EndpointReport(str(client), answers=False, warnings=(warning,))


async def _probed(chain: ChainId, client: RpcClient, endpoint: Endpoint, htlc: str) -> EndpointReport:
    latest, final, fees, version, tip, logs = await client.batch_each(
        [
            Call("eth_getBlockByNumber", ("latest", False), _HEADER),
            Call("eth_getBlockByNumber", ("finalized", False), _HEADER),
            Call("eth_getBlockByNumber", ("latest", False), RawFeeHeader | None),
            Call("web3_clientVersion"),
            Call("eth_maxPriorityFeePerGas"),
            Call("eth_getLogs", ({"fromBlock": "latest", "toBlock": "latest", "address": htlc},), list[msgspec.Raw]),
        ]
    )
    if isinstance(latest, CausewayError):
        raise latest
    if latest is None:
        raise RetryableError("it has no newest block: it still starts")
    head = header_of(chain, latest).height
    finalized = header_of(chain, final).height if isinstance(final, RawHeader) else None
    depths = [depth for depth in STATE_DEPTHS if depth <= head]
    receipts, proof, *states = await client.batch_each(
        [
            Call("eth_getBlockReceipts", (latest.hash,), list[msgspec.Raw] | None),
            Call("eth_getProof", (htlc, [], hex(head)), msgspec.Raw),
            *(_state(htlc, head - depth) for depth in depths),
            *([] if finalized is None else [_state(htlc, finalized)]),
        ]
    )
    kept = [depth for depth, answer in zip(depths, states, strict=False) if not isinstance(answer, CausewayError)]
    keeps_finalized = finalized is not None and not isinstance(states[-1], CausewayError)
    most = _most_calls(endpoint)
    batch_calls = await _longest_batch(client, most)
    pushes = None if endpoint.ws_url is None else await check_subscription(endpoint.ws_url)
    report = EndpointReport(
        url=str(client),
        client=version[:MAX_VERSION_CHARS] if isinstance(version, str) and version.isprintable() else "",
        head=head,
        base_fees=not isinstance(fees, RawFeeHeader) or fees.base_fee_per_gas is not None,
        finality_lag=None if finalized is None else max(0, head - finalized),
        state_blocks=max(kept, default=0),
        keeps_finalized_state=keeps_finalized,
        offers_receipts=not _is_refusal(receipts),
        offers_tip=not _is_refusal(tip),
        offers_proofs=not _is_refusal(proof),
        batch_calls=batch_calls,
        pushes_heads=None if pushes is None else not pushes,
    )
    return replace(report, warnings=_warnings(report, most, final, pushes), faults=_faults(report, final, logs))


def _most_calls(endpoint: Endpoint) -> int:
    """An endpoint that allows few calls a second is not asked for more at once than it allows in one."""
    return BATCH_CALLS if endpoint.calls_per_s is None else max(1, min(BATCH_CALLS, int(endpoint.calls_per_s)))


async def _longest_batch(client: RpcClient, most: int) -> int:
    """0 if it did not answer: its limit is found in use then."""
    try:
        return await client.longest_batch(most)
    except CausewayError:
        return 0


def _state(htlc: str, height: int) -> Call:
    return Call("eth_getBalance", (htlc, hex(height)))


def _warnings(report: EndpointReport, most: int, final: Any, pushes: str | None) -> tuple[str, ...]:
    found = {
        "it names no finalized block yet: nothing becomes final by its word until it does": (
            final is None or isinstance(final, NotFoundError) or (_is_trouble(final))
        ),
        f"it keeps no state of its finalized block, {report.finality_lag} below its head: locks are judged by their "
        "events and its newest state, and it proves nothing; for proofs, name one that keeps more (an archive node)": (
            report.finality_lag is not None and not report.keeps_finalized_state
        ),
        "it offers no eth_getProof: it proves nothing; for proofs, name one that does": (
            report.keeps_finalized_state and not report.offers_proofs
        ),
        "it offers no eth_getBlockReceipts: that a block has no events is believed of it": not report.offers_receipts,
        "it suggests no tip: tips follow eth_feeHistory or eth_gasPrice": report.base_fees and not report.offers_tip,
        "it has no base fees: transactions are of the form before EIP-1559": not report.base_fees,
        f"it pushes no heads ({pushes}): it is polled": bool(pushes),
        f"it takes {report.batch_calls} calls in a request, of {most} that were tried: blocks are read in more "
        "requests, and catching up is slower": 1 < report.batch_calls < most,
        "it takes no batches: every call is a request, and catching up is slow": report.batch_calls == 1 < most,
        f"it did not answer {most} calls in a request: how many it takes is found in use": not report.batch_calls,
    }
    return tuple(sentence for sentence, holds in found.items() if holds)


def _faults(report: EndpointReport, final: Any, logs: Any) -> tuple[str, ...]:
    found = {
        "it does not know the tag `finalized`, so that nothing ever becomes final: use a client that does": (
            _is_refusal(final) and not isinstance(final, NotFoundError)
        ),
        "it offers no logs of contracts, so no lock or claim is ever seen: choose a plan that offers eth_getLogs": (
            _is_refusal(logs)
        ),
    }
    return tuple(sentence for sentence, holds in found.items() if holds)


def _is_refusal(answer: Any) -> bool:
    """A refusal for good; what fails for now shows nothing about what is offered."""
    return isinstance(answer, CausewayError) and not _is_trouble(answer)


def _is_trouble(answer: Any) -> bool:
    return isinstance(answer, RetryableError) and refusal_in(answer) not in (Refusal.UNCLEAR, Refusal.NOT_OFFERED)


def require_usable(chain: ChainId, reports: Sequence[EndpointReport]) -> None:
    """Raise `RejectedError` if endpoints answer and none of them can serve."""
    answering = [report for report in reports if report.answers]
    if answering and all(report.faults for report in answering):
        said = "; ".join(f"{report.url}: {'; '.join(report.faults)}" for report in answering)
        raise RejectedError(f"no endpoint of {chain} can serve. {said}")
