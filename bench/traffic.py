"""Generated traffic on three chains: honest noise, injected cases of each typology, and the truth about them.

    from bench.traffic import Plan, generate
    traffic = generate(Plan(seed=1, transfers=100_000, noise=1.0))

What is injected follows the published descriptions of the typologies (docs/supervising/methods.md), with amounts, times
and numbers of accounts drawn at random; the rules' parameters are not imported. `noise` scales how often honest
accounts do what looks alike, and how much else the accounts of a case do. Real listed addresses can be given: data with
the transfers of sanctioned accounts does not exist, so they are injected as counterparties.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

DAY: Final = 86_400
HOUR: Final = 3_600
START_S: Final = 1_760_000_000 - 1_760_000_000 % DAY
CHAINS: Final = ("causeway:main", "eip155:1", "eip155:137")
BLOCK_S: Final = (2, 12, 5)
ASSETS: Final = (
    ("causeway:main/asset:cnyd", 2, 13),
    ("eip155:1/slip44:60", 18, 200_000),
    ("eip155:137/erc20:0x3c499c542cef5e3811e1192ce70d8cc03d5c3359", 6, 100),
)
"""One asset a chain: its id, its decimals, and cents of the reporting currency for one whole unit."""
NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Plan:
    """`cases`: of each typology, one for 5,000 transfers by default. `listed`: addresses of listed accounts on EVM."""

    seed: int
    transfers: int = 100_000
    noise: float = 1.0
    days: int = 90
    cases: int | None = None
    listed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement of value. Accounts are indices into `Traffic.accounts`; `swap` an index into `Traffic.swaps`."""

    time_s: int
    chain: int
    height: int
    event_index: int
    sender: int
    receiver: int
    amount: int
    swap: int
    step: str


@dataclass(frozen=True, slots=True)
class Swap:
    """Both legs of a swap: (chain, sender, receiver, amount) each, and the second at which it was agreed."""

    initiator: tuple[int, int, int, int]
    participant: tuple[int, int, int, int]
    opened_s: int


@dataclass(frozen=True, slots=True)
class Case:
    """An injected case: any alert about one of `accounts` has found it. `also`: others that take part knowingly."""

    typology: str
    accounts: frozenset[str]
    also: frozenset[str] = frozenset()


@dataclass(slots=True)
class Traffic:
    """All of it. `labels`: categories by account; `entities`: name by account, where several belong to one."""

    plan: Plan
    accounts: list[str] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    swaps: list[Swap] = field(default_factory=list)
    labels: dict[str, frozenset[str]] = field(default_factory=dict)
    listed_from_s: dict[str, int] = field(default_factory=dict)
    entities: dict[str, str] = field(default_factory=dict)
    truth: list[Case] = field(default_factory=list)


def amount_of(cents: int, chain: int) -> int:
    """Return base units of the chain's asset that are worth about `cents`."""
    _, decimals, rate = ASSETS[chain]
    return max(1, cents * int(10**decimals) // rate)


class _Town:
    """Makes one traffic. A person is an index; an account is a person on a chain."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed)
        self.traffic = Traffic(plan)
        self.rows: list[tuple[int, int, int, int, int, int, str]] = []
        self._accounts: dict[tuple[int, int], int] = {}
        self._people = 0
        self.end_s = START_S + plan.days * DAY
        self.cases = plan.cases or max(4, plan.transfers // 5_000)
        self.keepers = [self._labelled("htlc", chain) for chain in range(3)]
        self.exchanges = [self.person() for _ in range(5)]
        for person in self.exchanges:
            for chain in range(3):
                self._label(self.account(person, chain), "exchange")
        self.makers = [self.person() for _ in range(20)]
        for person in self.makers:
            for chain in range(3):
                self._label(self.account(person, chain), "liquidity_provider")

    # --- who -----------------------------------------------------------------------------------------------------

    def person(self) -> int:
        self._people += 1
        return self._people - 1

    def account(self, person: int, chain: int, address: str | None = None) -> int:
        key = (person, chain)
        if key not in self._accounts:
            digits = f"{(person * 2_654_435_761 + 0x9E3779B97F4A7C15 * (self.plan.seed + 1)) % 2**160:040x}"
            text = address or (digits if chain == 0 else f"0x{digits}")
            self._accounts[key] = len(self.traffic.accounts)
            self.traffic.accounts.append(f"{CHAINS[chain]}:{text}")
        return self._accounts[key]

    def name(self, account: int) -> str:
        return self.traffic.accounts[account]

    def _labelled(self, category: str, chain: int) -> int:
        account = self.account(self.person(), chain)
        self._label(account, category)
        return account

    def _label(self, account: int, category: str) -> None:
        name = self.name(account)
        self.traffic.labels[name] = self.traffic.labels.get(name, frozenset()) | {category}

    # --- what happens --------------------------------------------------------------------------------------------

    def pay(self, time_s: float, chain: int, sender: int, receiver: int, cents: float) -> None:
        """A payment between accounts. Amounts are worth whole cents, as far as the asset's units allow."""
        if START_S <= time_s < self.end_s:
            self.rows.append((int(time_s), chain, sender, receiver, amount_of(int(cents), chain), NOBODY, ""))

    def swap(self, time_s: float, person: int, maker: int, a: int, b: int, cents: float) -> float:
        """A person swaps from chain a to chain b with a maker. Return the second at which the value has arrived."""
        mine_a, mine_b = self.account(person, a), self.account(person, b)
        theirs_a, theirs_b = self.account(maker, a), self.account(maker, b)
        given, taken = amount_of(int(cents), a), amount_of(int(cents * 0.998), b)
        number, t = len(self.traffic.swaps), int(time_s)
        self.traffic.swaps.append(Swap((a, mine_a, theirs_a, given), (b, theirs_b, mine_b, taken), t))
        self.rows += [
            (t, a, mine_a, self.keepers[a], given, number, "lock initiator"),
            (t + 60, b, theirs_b, self.keepers[b], taken, number, "lock participant"),
            (t + 150, b, self.keepers[b], mine_b, taken, number, "claim participant"),
            (t + 240, a, self.keepers[a], theirs_a, given, number, "claim initiator"),
        ]
        return time_s + 150

    def when(self, margin_days: float = 6) -> float:
        """A moment at which a case may begin: after accounts have a history, and with room for its end."""
        return self.random.uniform(START_S + 34 * DAY, self.end_s - margin_days * DAY)

    def case(self, typology: str, accounts: Sequence[int], also: Sequence[int] = ()) -> None:
        names = [frozenset(self.name(account) for account in some) for some in (accounts, also)]
        self.traffic.truth.append(Case(typology, *names))

    def stranger(self, chain: int) -> int:
        return self.account(self.people[self.random.randrange(len(self.people))], chain)

    def camouflage(self, account: int, chain: int, around_s: float) -> None:
        """A case's account also does what everybody does: more of it the noisier."""
        for _ in range(_poisson(self.random, self.plan.noise * 0.5)):
            time_s = around_s + self.random.uniform(-20, 20) * DAY
            pair = (account, self.stranger(chain)) if self.random.random() < 0.5 else (self.stranger(chain), account)
            self.pay(time_s, chain, *pair, self.random.lognormvariate(8.5, 1.0))

    # --- honest traffic ------------------------------------------------------------------------------------------

    def background(self) -> None:
        """People who pay each other, a few of them very often; home chains; amounts by habit."""
        rnd, count = self.random, max(2_000, self.plan.transfers * 15 // 100)
        self.people = [self.person() for _ in range(count)]
        weights, total, cumulative = [min(rnd.paretovariate(1.1), 400.0) for _ in range(count)], 0.0, []
        for weight in weights:
            total += weight
            cumulative.append(total)
        homes = rnd.choices(range(3), (3, 5, 2), k=count)
        habits = [rnd.gauss(8.5, 1.2) for _ in range(count)]
        regulars = self.plan.transfers * 8 // 10
        payers = rnd.choices(range(count), cum_weights=cumulative, k=regulars)
        payees = rnd.choices(range(count), cum_weights=cumulative, k=regulars)
        for payer, payee in zip(payers, payees, strict=True):
            if payer == payee:
                continue
            chain = homes[payer] if rnd.random() < 0.9 else rnd.randrange(3)
            cents = math.exp(min(habits[payer] + rnd.gauss(0, 0.7), 14.5))
            time_s = START_S + rnd.random() * self.plan.days * DAY
            self.pay(
                time_s, chain, self.account(self.people[payer], chain), self.account(self.people[payee], chain), cents
            )
        for _ in range(self.plan.transfers // 20):
            person = self.people[rnd.choices(range(count), cum_weights=cumulative)[0]]
            a = rnd.randrange(3)
            cents = min(rnd.lognormvariate(10.3, 1.0), 5e6)
            at = START_S + rnd.random() * (self.plan.days * DAY - HOUR)
            self.swap(at, person, rnd.choice(self.makers), a, (a + rnd.randint(1, 2)) % 3, cents)

    def customers_of_exchanges(self) -> None:
        """Deposits to and withdrawals from labelled exchanges, of all sizes."""
        rnd = self.random
        for _ in range(self.plan.transfers // 25):
            chain, exchange = rnd.randrange(3), rnd.choice(self.exchanges)
            customer, house = self.stranger(chain), self.account(exchange, chain)
            pair = (customer, house) if rnd.random() < 0.5 else (house, customer)
            self.pay(
                START_S + rnd.random() * self.plan.days * DAY, chain, *pair, min(rnd.lognormvariate(9.5, 1.5), 1e8)
            )

    def merchants(self) -> None:
        """Shops with many customers, who bring their takings to an exchange every few days."""
        rnd = self.random
        for _ in range(max(2, self.plan.transfers // 12_000)):
            chain, shop = rnd.randrange(3), self.person()
            account, house = self.account(shop, chain), self.account(rnd.choice(self.exchanges), chain)
            day, taken = START_S + rnd.randrange(3) * DAY, 0.0
            while day < self.end_s:
                for _ in range(rnd.randint(4, 14)):
                    cents = min(rnd.lognormvariate(8.0, 0.8), 90_000)
                    self.pay(day + rnd.random() * DAY, chain, self.stranger(chain), account, cents)
                    taken += cents
                day += DAY
                if rnd.random() < 0.4:
                    self.pay(day + rnd.random() * HOUR, chain, account, house, taken * 0.95)
                    taken = 0.0

    def employers(self) -> None:
        """Companies that pay wages once a month, out of a balance that comes in over the month."""
        rnd = self.random
        for _ in range(max(2, self.plan.transfers // 25_000)):
            chain, company = rnd.randrange(3), self.person()
            account = self.account(company, chain)
            staff = [self.stranger(chain) for _ in range(rnd.randint(12, 40))]
            for month in range(self.plan.days // 30):
                begin = START_S + month * 30 * DAY
                for _ in range(rnd.randint(8, 20)):
                    self.pay(
                        begin + rnd.random() * 27 * DAY, chain, self.stranger(chain), account, rnd.uniform(2e5, 9e5)
                    )
                for payee in staff:
                    self.pay(begin + 28 * DAY + rnd.random() * 4 * HOUR, chain, account, payee, rnd.uniform(1e5, 3e5))

    def look_alikes(self) -> None:
        """Honest accounts that do now and then what cases do: the more the noisier."""
        rnd, often = self.random, self.plan.noise * self.cases * 0.06
        for _ in range(_poisson(rnd, often)):  # somebody moves savings from one own account to the next
            chain, at, cents = rnd.randrange(3), self.when(), rnd.uniform(1e6, 4e6)
            a, b = self.account(self.person(), chain), self.stranger(chain)
            self.pay(at, chain, self.account(rnd.choice(self.exchanges), chain), a, cents)
            self.pay(at + rnd.uniform(1, 20) * HOUR, chain, a, b, cents * rnd.uniform(0.9, 1.0))
        for _ in range(_poisson(rnd, often)):  # a collection for a present, handed over
            chain, at, total = rnd.randrange(3), self.when(), 0.0
            account = self.stranger(chain)
            for _ in range(rnd.randint(8, 16)):
                cents = rnd.uniform(1_000, 8_000)
                total += cents
                self.pay(at + rnd.random() * 2 * DAY, chain, self.stranger(chain), account, cents)
            self.pay(at + 2.2 * DAY, chain, account, self.stranger(chain), total)
        for _ in range(_poisson(rnd, often)):  # instalments just below a round sum
            chain, at = rnd.randrange(3), self.when(40)
            account, payee = self.stranger(chain), self.stranger(chain)
            for month in range(3):
                self.pay(at + month * 12 * DAY, chain, account, payee, rnd.uniform(91_000, 99_900))
        for _ in range(_poisson(rnd, often)):  # a trader goes around the chains for a price
            at, cents, person = self.when(), rnd.uniform(6e5, 3e6), rnd.choice(self.people)
            at = self.swap(at, person, rnd.choice(self.makers), 0, 1, cents)
            self.swap(at + rnd.uniform(1, 30) * HOUR, person, rnd.choice(self.makers), 1, 2, cents * 0.995)
        for _ in range(_poisson(rnd, often)):  # a busy day: a sale
            chain, at = rnd.randrange(3), self.when()
            account = self.stranger(chain)
            for _ in range(rnd.randint(6, 14)):
                self.pay(at + rnd.random() * DAY, chain, account, self.stranger(chain), rnd.uniform(2_000, 50_000))

    # --- cases ---------------------------------------------------------------------------------------------------

    def structuring(self) -> None:
        rnd, at, person = self.random, self.when(), self.person()
        accounts = [self.account(person, chain) for chain in range(3)]
        name = f"person-{person}"
        for account in accounts:
            self.traffic.entities[self.name(account)] = name
        for _ in range(rnd.randint(4, 9)):
            chain = rnd.randrange(3)
            self.pay(at + rnd.random() * DAY, chain, accounts[chain], self.stranger(chain), rnd.uniform(91_000, 99_900))
        self.camouflage(accounts[1], 1, at)
        self.case("structuring", accounts)

    def velocity(self) -> None:
        rnd, chain, at = self.random, self.random.randrange(3), self.when()
        at -= at % DAY
        account = self.account(self.person(), chain)
        for day in range(1, 32):
            for _ in range(rnd.randint(0, 3)):
                self.pay(
                    at - day * DAY + rnd.random() * DAY, chain, account, self.stranger(chain), rnd.uniform(3e3, 2e4)
                )
        for _ in range(rnd.randint(18, 40)):
            self.pay(at + rnd.random() * DAY, chain, account, self.stranger(chain), rnd.uniform(4e4, 9e4))
        self.case("velocity", [account])

    def pass_through(self) -> None:
        rnd, chain, at = self.random, self.random.randrange(3), self.when()
        account, cents, parts = self.account(self.person(), chain), rnd.uniform(1.2e6, 9e6), rnd.randint(1, 4)
        for day in range(20, 50, 10):  # not a new account
            self.pay(at - day * DAY, chain, self.stranger(chain), account, rnd.uniform(2e3, 2e4))
        self.pay(at, chain, self.stranger(chain), account, cents)
        for part in range(parts):
            left = cents * rnd.uniform(0.93, 0.99) / parts
            self.pay(at + (part + rnd.random()) * 4 * HOUR, chain, account, self.stranger(chain), left)
        self.camouflage(account, chain, at)
        self.case("pass_through", [account])

    def accumulation(self) -> None:
        rnd, chain, at, total = self.random, self.random.randrange(3), self.when(), 0.0
        account = self.account(self.person(), chain)
        for _ in range(rnd.randint(13, 40)):
            cents = rnd.uniform(5e3, 8e4)
            total += cents
            self.pay(at + rnd.random() * 40 * HOUR, chain, self.stranger(chain), account, cents)
        for part in range(outs := rnd.randint(1, 3)):
            self.pay(at + (44 + 5 * part) * HOUR, chain, account, self.stranger(chain), total * 0.94 / outs)
        self.camouflage(account, chain, at)
        self.case("accumulation", [account])

    def dispersal(self) -> None:
        rnd, chain, at, count = self.random, self.random.randrange(3), self.when(), self.random.randint(13, 40)
        account, cents = self.account(self.person(), chain), rnd.uniform(8e5, 4e6)
        self.pay(at, chain, self.stranger(chain), account, cents)
        for _ in range(count):
            self.pay(at + rnd.uniform(1, 48) * HOUR, chain, account, self.stranger(chain), cents * 0.95 / count)
        self.camouflage(account, chain, at)
        self.case("dispersal", [account])

    def dormant(self) -> None:
        rnd, chain = self.random, self.random.randrange(3)
        at, account = self.when(), self.account(self.person(), chain)
        silent_s = rnd.uniform(370, 900) * DAY
        self.rows.append(
            (
                int(at - silent_s),
                chain,
                self.stranger(chain),
                account,
                amount_of(int(rnd.uniform(1.5e6, 9e6)), chain),
                -1,
                "",
            )
        )
        self.pay(at, chain, account, self.stranger(chain), rnd.uniform(1.2e6, 1.5e6))
        self.case("dormant", [account])

    def new_account(self) -> None:
        rnd, chain, at, cents = self.random, self.random.randrange(3), self.when(9), self.random.uniform(1.2e6, 8e6)
        account, parts = self.account(self.person(), chain), rnd.randint(1, 4)
        self.pay(at, chain, self.stranger(chain), account, cents)
        for part in range(parts):
            self.pay(
                at + (1.2 + part * 1.1 + rnd.random()) * DAY, chain, account, self.stranger(chain), cents * 0.98 / parts
            )
        self.case("new_account", [account])

    def peel_chain(self) -> None:
        rnd, chain, at, cents = self.random, self.random.randrange(3), self.when(8), self.random.uniform(2e6, 2e7)
        account, path = self.account(self.person(), chain), []
        self.pay(at, chain, self.stranger(chain), account, cents)
        for _ in range(rnd.randint(6, 10)):
            onto, peel = self.account(self.person(), chain), cents * rnd.uniform(0.02, 0.12)
            at += rnd.uniform(0.3, 8) * HOUR
            self.pay(at, chain, account, self.stranger(chain), peel)
            cents = (cents - peel) * 0.999
            at += rnd.uniform(0.1, 3) * HOUR
            self.pay(at, chain, account, onto, cents)
            path.append(account)
            account = onto
        self.case("peel_chain", path, [account])

    def chain_hopping(self) -> None:
        rnd, at, cents = self.random, self.when(), self.random.uniform(1.5e6, 1.5e7)
        chain, person, path = rnd.randrange(3), self.person(), []
        self.pay(at, chain, self.stranger(chain), self.account(person, chain), cents)
        for _ in range(rnd.randint(2, 4)):
            onto = (chain + 1) % 3
            path += [self.account(person, chain), self.account(person, onto)]
            at = self.swap(at + rnd.uniform(0.1, 2) * HOUR, person, rnd.choice(self.makers), chain, onto, cents)
            cents, chain, at = cents * 0.998, onto, at + rnd.uniform(0.1, 1.5) * HOUR
            heir = self.person() if rnd.random() < 0.6 else person
            if heir != person:
                self.pay(at, chain, self.account(person, chain), self.account(heir, chain), cents)
                person, at = heir, at + 600
        self.pay(at + HOUR, chain, self.account(person, chain), self.stranger(chain), cents * 0.99)
        self.case("chain_hopping", [*path, self.account(person, chain)])

    def round_trip(self) -> None:
        rnd, chain, cents, at = self.random, self.random.randrange(3), self.random.uniform(3e5, 9e6), self.when(16)
        origin = account = self.stranger(chain)
        path, count = [origin], rnd.randint(3, 6)
        slow = rnd.random() < 0.3
        for hop in range(count):
            onto = origin if hop == count - 1 else self.account(self.person(), chain)
            self.pay(at, chain, account, onto, cents)
            path.append(onto)
            account, cents = onto, cents * rnd.uniform(0.995, 0.999)
            at += rnd.uniform(20, 40) * HOUR if slow else rnd.uniform(0.5, 6) * HOUR
        self.case("round_trip", path[1:-1])

    def sanctions(self) -> None:
        """A listed account pays and is paid, before and after its designation; what is after it counts."""
        rnd, chain, listed = self.random, 1, self._listed()
        designated = self.traffic.listed_from_s[self.name(listed)]
        before, after = self.stranger(chain), self.account(self.person(), chain)
        self.pay(designated - rnd.uniform(1, 20) * DAY, chain, before, listed, rnd.uniform(1e4, 1e6))
        self.pay(designated + rnd.uniform(0.1, 4) * DAY, chain, listed, after, rnd.uniform(1e4, 1e6))
        self.case("sanctions", [after], [listed])

    def sanctions_indirect(self) -> None:
        rnd, chain, listed, cents = self.random, 1, self._listed(), self.random.uniform(1e5, 5e6)
        at = self.traffic.listed_from_s[self.name(listed)] + rnd.uniform(0.1, 1) * DAY
        path = [self.account(self.person(), chain) for _ in range(rnd.randint(2, 4))]
        sender = listed
        for account in path:
            self.pay(at, chain, sender, account, cents)
            at, cents, sender = at + rnd.uniform(0.5, 20) * HOUR, cents * rnd.uniform(0.88, 0.99), account
        self.case("sanctions_indirect", path[1:], [listed, path[0]])

    def _listed(self) -> int:
        number = len(self.traffic.listed_from_s)
        given = self.plan.listed
        account = self.account(self.person(), 1, given[number].lower() if number < len(given) else None)
        self._label(account, "sanctioned")
        self.traffic.listed_from_s[self.name(account)] = int(self.when(10))
        return account

    def mixer(self) -> None:
        """A pool of one denomination: deposits by many, withdrawals to accounts that never paid in."""
        rnd, at = self.random, self.when(10)
        pool, unit = self.account(self.person(), 1), 10 ** (18 + rnd.randint(-1, 1))
        for _ in range(deposits := rnd.randint(14, 40)):
            self.rows.append((int(at + rnd.random() * 4 * DAY), 1, self.stranger(1), pool, unit, -1, ""))
        for _ in range(deposits * 2 // 3):
            to = self.account(self.person(), 1)
            self.rows.append((int(at + rnd.uniform(2, 5) * DAY), 1, pool, to, unit * 997 // 1_000, -1, ""))
        self.case("mixer", [pool])


TYPOLOGIES: Final = (
    "structuring",
    "velocity",
    "pass_through",
    "accumulation",
    "dispersal",
    "dormant",
    "new_account",
    "peel_chain",
    "chain_hopping",
    "round_trip",
    "sanctions",
    "sanctions_indirect",
    "mixer",
)


def generate(plan: Plan) -> Traffic:
    """Return the traffic of a plan: the same plan gives the same traffic."""
    town = _Town(plan)
    town.background()
    town.customers_of_exchanges()
    town.merchants()
    town.employers()
    town.look_alikes()
    for name in TYPOLOGIES:
        for _ in range(town.cases):
            getattr(town, name)()
    town.traffic.transfers = _in_blocks(town.rows)
    return town.traffic


def _in_blocks(rows: list[tuple[int, int, int, int, int, int, str]]) -> list[Transfer]:
    rows.sort()
    first_s = rows[0][0] - rows[0][0] % 60
    counts: dict[tuple[int, int], int] = {}
    placed = []
    for time_s, chain, sender, receiver, amount, swap, step in rows:
        height = (time_s - first_s) // BLOCK_S[chain] + 1
        index = counts.get((chain, height), 0)
        counts[chain, height] = index + 1
        block_s = first_s + height * BLOCK_S[chain]
        placed.append(Transfer(block_s, chain, height, index, sender, receiver, amount, swap, step))
    placed.sort(key=lambda one: (one.time_s, CHAINS[one.chain], one.height, one.event_index))
    return placed


def _poisson(rnd: random.Random, mean: float) -> int:
    """Return a number drawn from a Poisson law (Knuth, volume 2, 3.4.1), for small means."""
    limit, count, product = math.exp(-min(mean, 500.0)), 0, rnd.random()
    while product > limit:
        count += 1
        product *= rnd.random()
    return count
