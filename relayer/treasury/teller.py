"""Carries out withdrawals by the relayer's own transactions: what is free, and nothing that swaps rely on.

What is free is judged twice: when the order is looked at, and in the database transaction that stores the signed bytes,
in which nobody else's promise can come in between. From then on the withdrawal reserves as a swap does
(`relayer.pump.promises`), until a block has it and the balance is less by it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, RejectedError, RetryableError, UnaffordableError
from core.model.ports import TransactionSender, TransferBuilder
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, chain_of
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from relayer import inventory
from relayer.inventory import ExitCosts, Promise
from relayer.metrics import RelayerMetrics
from relayer.pump import promises
from relayer.pump.checks import Checks
from relayer.transactions import records
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.records import TransactionRecord, TransactionStatus
from relayer.treasury import orders
from relayer.treasury.orders import Seal, Withdrawal, WithdrawalStatus
from relayer.treasury.top_ups import TopUp

LOOK_S: Final = 2.0
"""How often orders are looked for: an operator waits so long at most."""
LOW_LOOK_S: Final = 60.0
"""How often balances are held against their thresholds."""

log = get_logger("relayer.treasury")


class PayingChain(Protocol):
    """The part of a chain that withdrawals need. A `ChainAccess` has it."""

    @property
    def transactions(self) -> TransactionSender: ...
    @property
    def transfers(self) -> TransferBuilder | None: ...


@dataclass(frozen=True, slots=True)
class TreasuryPolicy:
    """`destinations`: the accounts that may be paid, None for any. `low`: base units of an asset below which the
    operator hears of it. `top_ups`: what is paid to our accounts by itself; see `relayer.treasury.top_ups`."""

    seal: Seal = field(repr=False)
    destinations: Collection[AccountId] | None = None
    low: Mapping[AssetId, int] = field(default_factory=dict)
    top_ups: Sequence[TopUp] = ()

    def check_destination(self, receiver: AccountId) -> None:
        """Raise `RejectedError` for an account that is not to be paid."""
        if self.destinations is not None and receiver not in self.destinations:
            raise RejectedError(f"{receiver} is not among the destinations of the configuration: nothing is paid to it")


@dataclass(frozen=True, slots=True)
class Purse:
    """Our balances by asset, in base units: what we hold, what of it is kept, and what is free."""

    held: Mapping[AssetId, int]
    kept: Mapping[AssetId, int]

    def free(self, asset: AssetId) -> int:
        """Return what nothing relies on, 0 or more."""
        return max(0, self.held.get(asset, 0) - self.kept.get(asset, 0))


class Teller:
    """A named loop that looks at the orders every `LOOK_S`."""

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, PayingChain],
        pipelines: Mapping[ChainId, Pipeline],
        checks: Checks,
        policy: TreasuryPolicy,
        clock: Clock,
        metrics: RelayerMetrics,
        retiring: Sequence[Pipeline] = (),
        funders: Sequence[Pipeline] = (),
    ) -> None:
        """`pipelines` are those of the accounts that open swaps, `retiring` and `funders` those of others of ours:
        former ones, and those that pay for gas."""
        self._database = database
        self._chains = chains
        self._pipelines = pipelines
        self._others = {one.account: one for one in (*retiring, *funders)}
        """These may pay the account that opens swaps on their chain."""
        self._funders = {one.account for one in funders}
        self._checks = checks
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self._low: set[AssetId] = set()
        self._low_looked_s = float("-inf")

    async def run(self) -> None:
        """Look after orders for ever."""
        while True:
            await self.step()
            await self._look_at_low()
            await self._clock.sleep(LOOK_S)

    async def step(self) -> None:
        """Look once at every order that has not ended. One that cannot be carried out now stops no other."""
        for order, seal in await self._database.read(orders.waiting):
            try:
                if order.status is WithdrawalStatus.ASKED:
                    await self._send(order, seal)
                else:
                    await self._settle(order)
            except RetryableError as error:
                log.info("a withdrawal waits", withdrawal=order.id, reason=error.message)

    # --- out ---

    async def _send(self, order: Withdrawal, seal: bytes) -> None:
        """Send an order, or say why it is not to be. Raise `RetryableError` while that cannot be known."""
        try:
            if await self._database.read(lambda c: records.by_effect(c, order.effect_key)) is None:
                if self._clock.now_ns() >= order.until_ns:
                    await self._end(order, WithdrawalStatus.LAPSED, "it was not sent in time")
                    return
                await self._sign(order, self._checked(order, seal))
        except (UnaffordableError, RejectedError) as error:
            if order.amount is None and isinstance(error, UnaffordableError):
                raise  # what is free has changed since it was looked at
            await self._end(order, WithdrawalStatus.REFUSED, error.message)
            return
        await self._database.write(partial(orders.change, order=order, status=WithdrawalStatus.SENT))
        log.info("a withdrawal is sent", withdrawal=order.id, asset=order.asset, receiver=order.receiver)

    def _checked(self, order: Withdrawal, seal: bytes) -> Pipeline:
        """Raise `RejectedError` for an order that this relayer's operator did not give, or that is not allowed;
        `RetryableError` while the chain has not answered yet."""
        if not self._policy.seal.holds(order, seal):
            raise RejectedError("its seal is not of this relayer's keystore: whoever wrote it may not spend")
        pipeline = self._pipelines.get(order.chain)
        if pipeline is None:
            raise RetryableError(f"{order.chain} has not answered yet, or is not configured")
        other = self._others.get(order.account)
        if other is None or order.receiver != pipeline.account:
            self._policy.check_destination(order.receiver)
            if order.account in self._funders:
                raise RejectedError(f"{order.account} pays for gas, and nobody but {pipeline.account}")
        if other is None and pipeline.account != order.account:
            raise RejectedError(f"{order.account} is not the relayer's account on {order.chain} any more")
        return other or pipeline

    async def _sign(self, order: Withdrawal, pipeline: Pipeline) -> None:
        costs = await self._checks.exit_costs([order.chain])
        kept = await self._database.read(lambda c: self._kept(c, order.account, costs))
        payment = await self._payment(order, pipeline, kept)
        await pipeline.send(
            order.effect_key,
            payment,
            order.until_ns / NS_PER_S,
            guarded=True,
            gate=partial(self._gate, order=order, kept=kept, costs=costs),
            keep=kept,
        )

    async def _payment(self, order: Withdrawal, pipeline: Pipeline, kept: Mapping[AssetId, int]) -> UnsignedTransaction:
        """Return the transfer. Raise `RejectedError` if nothing is free, or if it would not move."""
        access = self._chains[order.chain]
        if access.transfers is None:
            raise RejectedError(f"{order.chain} makes no transfers")
        make = partial(access.transfers.transfer, order.account, order.receiver, order.asset)
        if order.amount is not None:
            return await make(order.amount)
        held = await self._checks.balance(order.asset, order.account)
        free = held - kept.get(order.asset, 0) - await self._open(pipeline, order.asset)
        if free > 0:
            # A first look, at one unit, shows what it costs beyond what it moves.
            market = await access.transactions.fee_market()
            cost = access.transactions.cost(await make(BaseUnits(1)), inventory.exit_bid(market))
            free -= cost.get(order.asset, 0) - 1
        if free <= 0:
            raise ConflictError(f"nothing of {order.asset} is free: {held} are held, and swaps keep them")
        taken = BaseUnits(free)
        await self._database.write(partial(orders.settle_amount, order=order, taken=taken))
        return await make(taken)

    async def _open(self, pipeline: Pipeline, asset: AssetId) -> int:
        """Return what the account's other transactions may still take."""

        def read(connection: Connection) -> int:
            found = records.open_transactions(connection, pipeline.chain, pipeline.account)
            waiting = [one for one in found if one.status is not TransactionStatus.INCLUDED]
            return records.reserved_by(connection, [one.id for one in waiting], asset)

        return await self._database.read(read)

    def _gate(self, connection: Connection, order: Withdrawal, kept: Mapping[AssetId, int], costs: ExitCosts) -> None:
        """Hold the order once more against what is promised now, with nobody able to promise more before it is stored.

        Raise `RetryableError` if more is kept than was known, `ConflictError` for an order that was ended meanwhile.
        """
        promises.one_at_a_time(connection)
        status = orders.status_of(connection, order.id)
        if status is not WithdrawalStatus.ASKED:
            raise ConflictError(f"the withdrawal is {status or 'gone'} by now: nothing is sent")
        now = self._kept(connection, order.account, costs)
        more = sorted(asset for asset, amount in now.items() if amount > kept.get(asset, 0))
        if more:
            raise RetryableError(f"swaps were agreed meanwhile that keep more of {', '.join(more)}: it is judged again")

    def _kept(self, connection: Connection, account: AccountId, costs: ExitCosts) -> Mapping[AssetId, int]:
        return kept_by_swaps(connection, account, costs, self._clock.now_ns(), account in self._others)

    # --- back ---

    async def _settle(self, order: Withdrawal) -> None:
        record = await self._database.read(lambda c: records.by_effect(c, order.effect_key))
        found = None if record is None else outcome(record)
        if found is not None:
            await self._end(order, *found)

    async def _end(self, order: Withdrawal, status: WithdrawalStatus, reason: str | None) -> None:
        await self._database.write(partial(orders.change, order=order, status=status, reason=reason))
        log.info("a withdrawal ended", withdrawal=order.id, status=status, reason=reason)

    # --- thresholds ---

    async def _look_at_low(self) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._low_looked_s < LOW_LOOK_S:
            return
        self._low_looked_s = now_s
        for asset, least in self._policy.low.items():
            try:
                held = await self._checks.balance(asset)
            except RetryableError as error:
                log.info("balance not known", asset=asset, reason=error.message)
                continue
            is_low = held < least
            self._metrics.low_balance.labels(asset).set(is_low)
            if is_low and asset not in self._low:
                log.warning("a balance is below its threshold: pay some to the account", asset=asset, held=held)
            (self._low.add if is_low else self._low.discard)(asset)


def outcome(record: TransactionRecord) -> tuple[WithdrawalStatus, str | None] | None:
    """Return how an order ended by its transaction, None while it may still change."""
    if record.open:
        return None
    if record.status is TransactionStatus.FINAL and not record.cancelled and not record.reverted:
        return WithdrawalStatus.PAID, None
    why = record.reason or ("it reverted" if record.reverted else f"its transaction is {record.status}")
    return WithdrawalStatus.FAILED, why


def kept_in(
    account: AccountId, promised: Collection[Promise], costs: ExitCosts, now_ns: int, retiring: bool
) -> Mapping[AssetId, int]:
    """Return what has to stay in an account of ours; see `inventory.kept`. One that is `retiring` begins nothing, and
    keeps no gas for one swap more."""
    more = [] if retiring else [chain for chain in sorted(costs) if chain == chain_of(account)]
    return inventory.kept(inventory.of_purses(promised, [account]), more, costs, now_ns)


def kept_by_swaps(
    connection: Connection, account: AccountId, costs: ExitCosts, now_ns: int, retiring: bool
) -> Mapping[AssetId, int]:
    """Return what has to stay in an account of ours next to a transaction that is to be signed; see `kept_in`. The
    purse itself counts what else is signed, withdrawals too."""
    promised = [one for one in promises.of_open_swaps(connection) if not one.leaves]
    return kept_in(account, promised, costs, now_ns, retiring)


async def look(
    database: Database | None,
    checks: Checks,
    account: AccountId,
    assets: Sequence[AssetId],
    now_ns: int,
    retiring: bool = False,
) -> Purse:
    """Return what an account of ours holds of these assets of its chain, and keeps; without a database nothing is
    promised.

    The promises are read before the balances. Raise `RetryableError` while the chain does not say.
    """
    promised = [] if database is None else await database.read(promises.of_open_swaps)
    costs = await checks.exit_costs([chain_of(account)])
    kept = kept_in(account, promised, costs, now_ns, retiring)
    held = await checks.held(assets, {chain_of(account): account})
    return Purse(held, {asset: kept.get(asset, 0) for asset in assets})
