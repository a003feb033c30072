"""Limits, inventory, gas and shares: what a new swap is held against, when it is quoted and when it is opened.

The formulas are those of `relayer.inventory` and of the pump's checks. Here are the balances that they need, how old
those may be, and how many swaps whose initiators have not locked one caller may have.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from core.model.errors import ConflictError, TooManyError
from core.model.types import AssetId, ChainId
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from relayer import inventory
from relayer.inventory import ExitCosts, Promise
from relayer.policy import RelayerPolicy
from relayer.provider.holds import Holds
from relayer.pump import promises
from relayer.pump.checks import Checks

T = TypeVar("T")

MEANS_AGE_S: Final = 1.0
"""How old our balances may be in a quote."""
SHORTAGE_AGE_S: Final = 5.0
"""How old a look at the gas may be: whoever asks for our health does not poll our endpoints."""


@dataclass(frozen=True, slots=True)
class Means:
    """The promises at `now_ns`, and the balances of the accounts that open swaps right after."""

    now_ns: int
    promised: Sequence[Promise]
    costs: ExitCosts
    held: Mapping[AssetId, int]

    def others(self, promised: Sequence[Promise]) -> list[Promise]:
        """The firm ones of the promises as they are now, each no further than when the balances were read."""
        return inventory.as_seen(inventory.firm(promised, self.now_ns), self.promised)


class Judge:
    """Holds new swaps against what the relayer has and has promised. The caller gives the promises, as they are in the
    transaction that stores the swap."""

    def __init__(self, database: Database, checks: Checks, holds: Holds, policy: RelayerPolicy, clock: Clock) -> None:
        self._database = database
        self._checks = checks
        self._holds = holds
        self._policy = policy
        self._clock = clock
        self._means: dict[tuple[AssetId, frozenset[ChainId]], tuple[float, Means]] = {}
        self._shortages: dict[int, tuple[float, Mapping[ChainId, str]]] = {}

    async def means(self, new: Promise) -> Means:
        """The promises, and then the balances that a new one draws on. Raise `RetryableError`."""
        now_ns, promised = self._clock.now_ns(), await self._database.read(promises.of_open_swaps)
        costs = await self._checks.exit_costs(new.chains)
        return Means(now_ns, promised, costs, await self._checks.held(inventory.needed(new, costs)))

    async def recent_means(self, new: Promise) -> Means:
        """The means of some moments ago: a price reserves nothing, and whoever asks for many polls no endpoint."""
        key, now_s = (new.asset, new.chains), self._clock.monotonic()
        known = self._means.get(key)
        if known is not None and now_s - known[0] < MEANS_AGE_S:
            return known[1]
        means = await self.means(new)
        self._means[key] = now_s, means
        return means

    async def unless_short(self, asset: AssetId, attempt: Callable[[], Awaitable[T]]) -> T:
        """`attempt`, and once more if it found the purse or a limit short and holds on the asset turn out uncovered."""
        try:
            return await attempt()
        except ConflictError:
            if not await self._holds.look_again(asset):
                raise
        return await attempt()

    def check(self, new: Promise, promised: Sequence[Promise], means: Means) -> None:
        """Hold a new swap against limits, inventory, gas for its lock and every exit, and its caller's share.

        Raise `ConflictError`, `TooManyError`.
        """
        others = means.others(promised)
        self._checks.check_exposure(others, new)
        drawn = inventory.of_purses(others, self._checks.purses(new.payers).values())
        if not new.proven:
            self._judge_number(new, promised, means.now_ns)
        elif new.caller is not None:
            self._judge_share(new, drawn, means)
        inventory.check_free(new, drawn, means.costs, means.held)

    def _judge_number(self, new: Promise, promised: Sequence[Promise], now_ns: int) -> None:
        """How many swaps may be open that reserve nothing. Those in this process are bounded in all only."""
        opening = self._policy.opening
        unproven = [one for one in promised if one.waits and not one.proven]
        lately = [one for one in unproven if one.caller == new.caller and one.is_held(now_ns)]
        same = [one for one in lately if one.account == new.account]
        bounds = [("everybody", self._policy.max_open_swaps, unproven)]
        if new.caller is not None:
            bounds += [
                ("this account", opening.max_per_account, same),
                ("this caller", opening.max_per_caller, lately),
            ]
        for who, most, theirs in bounds:
            with _waiting_times(now_ns):
                inventory.check_number(theirs, most=most, who=who)

    def _judge_share(self, new: Promise, others: Sequence[Promise], means: Means) -> None:
        """Bound what an account, and all accounts of a caller, hold without a lock. Raise `TooManyError`."""
        opening = self._policy.opening
        shares = (
            (
                "this account",
                opening.max_per_account,
                opening.account_share_percent,
                [one for one in others if one.account == new.account],
            ),
            (
                "this caller",
                opening.max_per_caller,
                opening.caller_share_percent,
                [one for one in others if one.caller == new.caller],
            ),
        )
        for who, most, percent, theirs in shares:
            with _waiting_times(means.now_ns):
                inventory.check_share(
                    new, theirs, others, means.costs, means.held[new.asset], most=most, percent=percent, who=who
                )

    async def gas_shortages(self, chains: Collection[ChainId], spare: int = 1) -> Mapping[ChainId, str]:
        """The chains on which gas for what is open and `spare` exits more is not there, with a sentence about each."""
        known, now_s = self._shortages.get(spare), self._clock.monotonic()
        if known is None or now_s - known[0] >= SHORTAGE_AGE_S:
            known = self._shortages[spare] = now_s, await self._checks.gas_shortages(sorted(chains), spare)
        return known[1]


@contextmanager
def _waiting_times(now_ns: int) -> Iterator[None]:
    """Say in seconds how long a caller has to wait who holds too much."""
    try:
        yield
    except TooManyError as error:
        wait_s = max(1, -(-(error.fields.pop("until_ns") - now_ns) // NS_PER_S))
        raise TooManyError(error.message, retry_after_s=wait_s, **error.fields) from None
