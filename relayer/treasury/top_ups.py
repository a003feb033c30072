"""Gas money that comes by itself: below its threshold an account is paid from another one of the operator's.

A top-up is a withdrawal from the funding account, ordered by this process under its own seal and carried out by the
teller. So it is signed once, counted against the day's most by its row, and shown with the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import RejectedError, RetryableError
from core.model.types import AccountId, AssetId, ChainId, chain_of
from core.runtime.clock import NS_PER_S, Clock, SecretSource
from core.runtime.database import Database
from core.runtime.logging import get_logger
from relayer.pump.checks import Checks
from relayer.treasury import orders
from relayer.treasury.orders import Seal, WithdrawalStatus

LOOK_S: Final = 30.0
WITHIN_S: Final = 1_800
"""A top-up that no block has by then lapses, and the next one is ordered by what is held then."""
RETRY_S: Final = 900
"""How long nothing is ordered after a top-up that came to nothing, for whatever reason."""
DAY_S: Final = 24 * 3_600

log = get_logger("relayer.treasury.top_ups")


@dataclass(frozen=True, slots=True)
class TopUp:
    """The threshold of one asset, in base units: below `low`, `funder` pays the account that opens swaps up to
    `target`, and `per_day` at most in any 24 hours."""

    asset: AssetId
    funder: AccountId
    low: int
    target: int
    per_day: int

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.target or not self.per_day > 0:
            raise RejectedError(
                f"a top-up of {self.asset} from below {self.low} to {self.target}, {self.per_day} a day: write a low "
                "above 0, a target that is not below it, and what may be paid in a day"
            )


class TopUps:
    """A named loop that looks at the balances every `LOOK_S`. `accounts` are those that open swaps."""

    def __init__(
        self,
        database: Database,
        top_ups: Sequence[TopUp],
        accounts: Mapping[ChainId, AccountId],
        checks: Checks,
        seal: Seal,
        clock: Clock,
        secrets: SecretSource,
    ) -> None:
        self._database = database
        self._top_ups = top_ups
        self._accounts = accounts
        self._checks = checks
        self._seal = seal
        self._clock = clock
        self._secrets = secrets
        self._said: set[AssetId] = set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.step()
            await self._clock.sleep(LOOK_S)

    async def step(self) -> None:
        """Look once at each asset. One whose balance is not known, or whose order is refused, stops no other."""
        for one in self._top_ups:
            try:
                await self._look(one)
            except (RetryableError, RejectedError) as error:
                log.info("gas cannot be topped up now", asset=one.asset, reason=error.message)

    async def _look(self, one: TopUp) -> None:
        account = self._accounts.get(chain_of(one.asset))
        # Before the balances: a top-up that a block takes in meanwhile counts twice, and nothing is paid twice.
        if account is None or await self._database.read(partial(self._waits, one=one)):
            return
        held = await self._checks.balance(one.asset, account)
        if held >= one.low:
            self._said.discard(one.asset)
            return
        fee = (await self._checks.exit_costs([chain_of(one.asset)]))[chain_of(one.asset)].get(one.asset, 0)
        free = await self._checks.balance(one.asset, one.funder) - fee
        if free < max(1, fee):
            self._say(one.asset, "gas is not topped up: pay some to the account that pays for it", account=one.funder)
            return
        placed = await self._database.write(
            partial(self._order, one=one, account=account, most=min(one.target - held, free))
        )
        if placed is None:
            self._say(one.asset, "gas is not topped up: what may be paid in a day is paid", account=account)
            return
        self._said.discard(one.asset)
        log.info("gas is topped up", asset=one.asset, account=account, held=held, amount=placed)

    def _order(self, connection: Connection, one: TopUp, account: AccountId, most: int) -> int | None:
        """Store an order, and return its amount; None if the day's most is reached."""
        if self._waits(connection, one):
            return None
        now_ns = self._clock.now_ns()
        paid = orders.paid_since(connection, one.funder, one.asset, now_ns - DAY_S * NS_PER_S)
        amount = min(most, one.per_day - paid)
        if amount <= 0:
            return None
        order = orders.new_order(self._secrets, one.funder, account, one.asset, amount, now_ns, WITHIN_S)
        orders.write(connection, order, self._seal.of(order))
        return amount

    def _waits(self, connection: Connection, one: TopUp) -> bool:
        """Return true while a top-up is on its way, and for a time after one that came to nothing."""
        last = orders.last_of(connection, one.funder, one.asset)
        if last is None or last.status is WithdrawalStatus.PAID:
            return False
        return not last.status.ended or self._clock.now_ns() < last.asked_ns + RETRY_S * NS_PER_S

    def _say(self, asset: AssetId, event: str, account: AccountId) -> None:
        """Say it once, until the balance is above its threshold again."""
        if asset not in self._said:
            self._said.add(asset)
            log.warning(event, asset=asset, account=account)
