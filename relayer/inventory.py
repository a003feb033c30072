"""Promised, exit costs, free: one formula for whoever quotes, opens, funds or watches.

    promise    an open swap in which we fund a leg; its row is the reservation
    reserves   amount that it will lock     until our lock is seen on chain, from when on the balance is less by it
               gas of our lock              on its chain, until it was seen: as much as of an exit
               gas of one exit              on each of its two chains, until it is done
    proven     the initiator's account signed the opening, and held what it gives next to all its other open holds
    firm       it reserves at all: the initiator's lock is final and verified; or it is proven, and its lock was seen or
               the hold of its opening is not over

What is not firm counts nowhere: not for inventory, gas, exposure or windows. An account that opens swaps and locks
nothing keeps what they reserve for the hold only, and together no more than a share of what would be free without them:
the rest is there for everybody else. All pure: rows and balances are given, the promises read *before* the balances, so
that a lock that is mined in between counts twice rather than never.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final

from core.model.errors import ConflictError, TooManyError
from core.model.transactions import FeeBid, FeeMarket
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Seconds, SwapId, chain_of

EXIT_FEE_MULTIPLE: Final = 2
"""An exit's reserve is its gas limit times this multiple of a first bid now, which is twice the base fee and the tip.
That carries it through twelve full blocks in a row (EIP-1559: 1.125 each)."""

ExitCosts = Mapping[ChainId, Mapping[AssetId, int]]
"""The most that one claim or refund may cost on each chain, by asset; chains without fees have none. As much is kept
for a lock of ours."""


@dataclass(frozen=True, slots=True)
class Promise:
    """The most that one open swap may cost us until it is done.

    `locked`: the initiator's lock was seen; `verified`: it is final, and a quorum shows it; `funded`: ours was seen.
    `proven`: opened with a proof of funds, or by ourselves. `caller` opened it over the API. `account` gives
    `given_amount` of `given_asset`; None and 0 in rows of older versions. `hold_until_ns`: until when it is firm
    without a lock, None for ever. `reserved_ns`: since when it has been firm without a break, which decides who comes
    first. Both are nanoseconds since the Unix epoch. `leaves`: a signed withdrawal, not a swap; it
    reserves, and exposes us to nobody. `payers`: our accounts whose purses it draws on, at most one on each chain; on a
    chain without one it draws on whichever purse is looked at.
    """

    swap_id: SwapId
    asset: AssetId
    amount: BaseUnits
    timelock_s: int
    counterparties: frozenset[AccountId]
    funded: bool
    chains: frozenset[ChainId]
    locked: bool = True
    caller: str | None = None
    hold_until_ns: int | None = None
    reserved_ns: int = 0
    proven: bool = True
    verified: bool = False
    account: AccountId | None = None
    given_asset: AssetId | None = None
    given_amount: int = 0
    leaves: bool = False
    payers: frozenset[AccountId] = frozenset()

    def is_firm(self, now_ns: int) -> bool:
        """Return true if it reserves what it promises."""
        return self.funded or self.verified or (self.proven and (self.locked or self.is_held(now_ns)))

    def is_held(self, now_ns: int) -> bool:
        """Return true until the hold of its opening is over."""
        return self.hold_until_ns is None or now_ns <= self.hold_until_ns

    @property
    def waits(self) -> bool:
        """True if neither leg's lock was seen."""
        return not (self.locked or self.funded)

    @property
    def locks(self) -> AssetId | None:
        """The asset that it has yet to lock, None once its lock was seen."""
        return None if self.funded else self.asset

    def exposes_to(self, accounts: Set[AccountId]) -> bool:
        """Return true if it exposes us to one of these: whoever is paid could be named by anybody, until the account
        that gives has locked."""
        return bool(self.counterparties & accounts) and (self.locked or self.account in accounts)

    def window(self, window_s: Seconds) -> int:
        """Return the number of the window that its timelock falls into."""
        return self.timelock_s // window_s

    def comes_before(self, other: "Promise") -> bool:
        """Return true if `other` may use only what this one leaves."""
        return self.leaves or self.funded or (self.reserved_ns, self.swap_id) < (other.reserved_ns, other.swap_id)


def exit_bid(market: FeeMarket | None) -> FeeBid | None:
    """The bid that an exit's reserve has to carry, at the present market."""
    if market is None:
        return None
    most = EXIT_FEE_MULTIPLE * (2 * market.base_fee + market.priority_fee)
    return FeeBid(max(1, most), market.priority_fee)


def firm(promises: Iterable[Promise], now_ns: int) -> list[Promise]:
    """Those that reserve something now."""
    return [promise for promise in promises if promise.is_firm(now_ns)]


def reserved(promises: Iterable[Promise], costs: ExitCosts) -> Counter[AssetId]:
    """Return what these promises reserve of our balances."""
    found: Counter[AssetId] = Counter()
    alike: Counter[tuple[frozenset[ChainId], AssetId | None]] = Counter()
    for promise in promises:
        if not promise.funded:
            found[promise.asset] += promise.amount
        alike[promise.chains, promise.locks] += 1
    for (chains, locks), times in alike.items():
        for asset, cost in gas(chains, locks, costs).items():
            found[asset] += times * cost
    return found


def gas(chains: frozenset[ChainId], locks: AssetId | None, costs: ExitCosts) -> Counter[AssetId]:
    """Return what a swap reserves of gas: an exit on each of these chains, and, if it has yet to lock this asset on one
    of them, its lock."""
    found = exits(chains, costs)
    if locks is not None and (chain := chain_of(locks)) in chains:
        found.update(costs.get(chain, {}))
    return found


def exits(chains: Collection[ChainId], costs: ExitCosts) -> Counter[AssetId]:
    """Return the most that one exit on each of these chains may cost."""
    found: Counter[AssetId] = Counter()
    for chain in chains:
        found.update(costs.get(chain, {}))
    return found


def of_purses(promises: Iterable[Promise], accounts: Collection[AccountId]) -> list[Promise]:
    """The promises as the purses of these accounts of ours keep them: nothing of what other accounts of ours pay."""
    ours = frozenset(accounts)
    return [one if one.payers <= ours else _paid_by(one, ours) for one in promises]


def _paid_by(one: Promise, ours: frozenset[AccountId]) -> Promise:
    elsewhere = {chain_of(account) for account in one.payers - ours}
    amount = BaseUnits(0) if chain_of(one.asset) in elsewhere else one.amount
    return replace(one, amount=amount, chains=one.chains - elsewhere)


def kept(promises: Collection[Promise], chains: Collection[ChainId], costs: ExitCosts, now_ns: int) -> Counter[AssetId]:
    """Return what an operator must leave: what swaps reserve, those too whose lock is not final yet, what is on its way
    out already, and gas for one swap more on each of `chains`: its lock, and an exit."""
    needed = [promise for promise in promises if promise.locked or promise.is_firm(now_ns)]
    return reserved(needed, costs) + exits(chains, costs) + exits(chains, costs)


def needed(promise: Promise, costs: ExitCosts) -> frozenset[AssetId]:
    """The assets that a promise draws on: what must be known of our balances before it is judged."""
    return frozenset(reserved([promise], costs)) | {promise.asset}


def as_seen(promises: Iterable[Promise], before: Collection[Promise]) -> list[Promise]:
    """The promises, none locked or funded that was not so `before` balances were read: what it took may be in them. A
    withdrawal that a block has taken in since counts once more, for the same reason."""
    known = {promise.swap_id: promise for promise in before}

    def seen(promise: Promise) -> Promise:
        then = known.get(promise.swap_id)
        funded = promise.funded and then is not None and then.funded
        locked = promise.locked and then is not None and then.locked
        if (funded, locked) == (promise.funded, promise.locked):
            return promise
        return replace(promise, funded=funded, locked=locked)

    now = list(promises)
    still = {(one.swap_id, one.asset) for one in now if one.leaves}
    gone = [one for one in before if one.leaves and (one.swap_id, one.asset) not in still]
    return [*gone, *map(seen, now)]


def uncovered(new: Promise, others: Iterable[Promise], balance: int) -> str | None:
    """Why the account's balance of what it gives does not prove a new opening, None if it does.

    Each coin proves once: what its other holds give has to be there as well. Once their locks are seen, the balance is
    less by them. `others` are firm.
    """
    bound = sum(one.given_amount for one in others if one.waits and _same_purse(one, new))
    if balance >= bound + new.given_amount:
        return None
    return (
        f"{new.account} holds {balance} of {new.given_asset}, and {bound + new.given_amount} are needed for this "
        "opening and its other ones"
    )


def overdrawn(holds: Sequence[Promise], balance: int) -> list[Promise]:
    """The newest of one account's holds that give one asset: as many as it takes for the balance to cover the rest."""
    dropped, bound = list[Promise](), sum(one.given_amount for one in holds)
    for one in sorted(holds, key=lambda one: (one.reserved_ns, one.swap_id), reverse=True):
        if bound <= balance:
            break
        dropped.append(one)
        bound -= one.given_amount
    return dropped


def _same_purse(one: Promise, other: Promise) -> bool:
    return (one.account, one.given_asset) == (other.account, other.given_asset)


def check_number(theirs: Collection[Promise], *, most: int, who: str) -> None:
    """Bound openings that reserve nothing: they cost a row each. Raise `TooManyError`."""
    if len(theirs) >= most:
        raise TooManyError(
            f"{who} has {len(theirs)} swaps open without a proof of funds and without a lock: at most {most} are "
            "taken; send a proof, lock on these first, or wait",
            open=len(theirs),
            until_ns=min(promise.hold_until_ns or 0 for promise in theirs),
        )


def check_share(
    new: Promise,
    theirs: Collection[Promise],
    others: Collection[Promise],
    costs: ExitCosts,
    held: int,
    *,
    most: int,
    percent: int,
    who: str,
) -> None:
    """Hold what one caller reserves without a lock against their share. `held`: our balance of the new swap's asset.

    `theirs` are those of `others` that the same caller opened; what they have locked on does not count. A first one is
    bounded by what is free alone. Raise `TooManyError`.
    """
    theirs = [promise for promise in theirs if promise.waits]
    if not theirs:
        return
    until_ns = min(promise.hold_until_ns or 0 for promise in theirs)
    waiting = {promise.swap_id for promise in theirs}
    rest = [promise for promise in others if promise.swap_id not in waiting]
    free = held - reserved(rest, costs)[new.asset] - gas(new.chains, new.locks, costs)[new.asset]
    open_amount = sum(promise.amount for promise in theirs if promise.asset == new.asset)
    share = max(0, free) * percent // 100
    if len(theirs) >= most or open_amount + new.amount > share:
        raise TooManyError(
            f"{who} has {len(theirs)} swaps open without a lock, for {open_amount} of {new.asset}: at most {most}, for "
            f"{share}, are kept; lock on these first, or wait",
            open=len(theirs),
            until_ns=until_ns,
        )


def check_free(
    new: Promise, others: Collection[Promise], costs: ExitCosts, held: Mapping[AssetId, int], *, locks: bool = False
) -> None:
    """Hold a promise and those that come before it against our balances.

    `held` names every asset of `needed`. `locks`: its lock is about to be signed, and is held against the purse by what
    it costs then. Raise `ConflictError` with the asset that is short.
    """
    taken, own = reserved(others, costs), gas(new.chains, None if locks else new.locks, costs)
    wanted = own + Counter({new.asset: int(new.amount)})
    # Its own asset first: that is the answer a caller can act on.
    for asset in sorted(wanted, key=lambda asset: asset != new.asset):
        free = held[asset] - taken[asset]
        if free >= wanted[asset]:
            continue
        if asset == new.asset and free >= own[asset]:
            raise ConflictError(
                f"the relayer's inventory of {asset} is short: {free - own[asset]} are free",
                asset=asset,
                free=free - own[asset],
            )
        raise ConflictError(
            f"the relayer's gas is short: {taken[asset] + own[asset]} of {asset} are kept for open swaps and one more, "
            f"it holds {held[asset]}",
            asset=asset,
            held=held[asset],
            reserved=taken[asset] + own[asset],
        )


def exposure(open_promises: Collection[Promise], new: Promise, window_s: Seconds) -> tuple[int, int, int]:
    """Return what is promised of the new swap's asset: in all, to its counterparties, and in its window."""
    of_asset = [promise for promise in open_promises if promise.asset == new.asset]
    return (
        sum(promise.amount for promise in of_asset),
        sum(
            promise.amount
            for promise in of_asset
            if promise.exposes_to(new.counterparties)
            or (promise.caller == new.caller and promise.counterparties & new.counterparties)
        ),
        sum(promise.amount for promise in of_asset if promise.window(window_s) == new.window(window_s)),
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """The promises of one asset at this moment: in all, and by counterparty and window, the largest first.

    `locked` is the part that our locks hold on chain, `swaps` the number of open swaps. A window is named by its first
    second. Counterparties are those to whom promises expose us, whoever calls.
    """

    total: int = 0
    locked: int = 0
    swaps: int = 0
    counterparties: tuple[tuple[AccountId, int], ...] = ()
    windows: tuple[tuple[int, int], ...] = ()


def standing(promises: Iterable[Promise], window_s: Seconds) -> dict[AssetId, Standing]:
    """Return how much of each asset firm promises expose us to; withdrawals are none."""
    by_asset: dict[AssetId, list[Promise]] = {}
    for promise in promises:
        if not promise.leaves:
            by_asset.setdefault(promise.asset, []).append(promise)
    found = {}
    for asset, ours in by_asset.items():
        accounts: Counter[AccountId] = Counter()
        windows: Counter[int] = Counter()
        for one in ours:
            windows[one.window(window_s) * window_s] += one.amount
            for account in one.counterparties:
                if one.exposes_to({account}):
                    accounts[account] += one.amount
        found[asset] = Standing(
            total=sum(one.amount for one in ours),
            locked=sum(one.amount for one in ours if one.funded),
            swaps=len(ours),
            counterparties=tuple(sorted(accounts.items(), key=lambda one: (-one[1], one[0]))),
            windows=tuple(sorted(windows.items(), key=lambda one: (-one[1], one[0]))),
        )
    return found


def shortages(
    chains: Collection[ChainId],
    promises: Collection[Promise],
    costs: ExitCosts,
    held: Mapping[AssetId, int],
    spare: int = 1,
) -> dict[ChainId, str]:
    """The chains on which gas for what is open, its exits and the locks to come, and for `spare` exits more is not
    there, with a sentence about each."""
    found = {}
    taken = Counter[AssetId]()
    for promise in promises:
        taken.update(gas(promise.chains, promise.locks, costs))
    for chain in chains:
        for asset, cost in costs.get(chain, {}).items():
            if held[asset] < taken[asset] + spare * cost:
                found[chain] = (
                    f"no swap is quoted: {taken[asset] + cost} of {asset} are kept for open swaps and one exit more, "
                    f"the account holds {held[asset]}: send it some"
                )
    return found
