"""Strangers who use the contract and the ledger as their rules allow, in any order and with every extreme."""

import hashlib
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from adapters.evm.calls import encode_call, unsigned_call
from core.model.errors import RejectedError
from core.model.ports import Signer
from core.model.transactions import FeeBid, UnsignedTransaction
from core.model.types import MAX_TIMELOCK_S, AccountId
from core.proofs.lanes import MAX_GENERATION, MAX_LANE, Lane, LaneStatus, evm_address, lane_slot
from tests.adapters.evm.harness import EvmHarness
from tests.adapters.evm.test_consents import deployed
from tests.support import eventually

SECRETS: Final = (bytes(32), b"p" * 32)
LANES: Final = (0, MAX_LANE)
ODD_RECEIVERS: Final = (bytes(19) + b"\1", b"\xff" * 20)
ERC20_KIND: Final = 1 << 160
ALL_TOKENS: Final = 2**256 - 1
VERBS: Final = (*("lock",) * 6, *("exit",) * 8, *("agreed",) * 2, *("bulk_lock", "bulk_exit", "settle") * 2, "flood")
FLOOD: Final = 60
"""Locks of one transaction."""
GAS: Final = 400_000
BATCH_GAS: Final = 6_000_000


@dataclass(frozen=True, slots=True)
class StrangeLock:
    """A lock that somebody asked for, whether or not it came about. `asset` is the committed word."""

    sender: AccountId
    hashlock: bytes
    terms: int
    amount: int
    asset: int

    @property
    def place(self) -> tuple[AccountId, int]:
        """Sender and lane."""
        return self.sender, self.terms & MAX_LANE

    @property
    def receiver(self) -> bytes:
        return (self.terms >> 96).to_bytes(20, "big")


class EvmStrangers:
    """Some accounts, few lanes each, so that everything meets. `counts`: what they did, by name."""

    def __init__(self, evm: EvmHarness, rng: random.Random, accounts: list[Signer], token: bytes, wraps: bool) -> None:
        self.evm, self.rng, self.accounts, self.token, self.wraps = evm, rng, accounts, token, wraps
        self.htlc = evm_address(evm.contracts.htlc)
        self.locks: list[StrangeLock] = []
        self.newest: dict[tuple[AccountId, int], StrangeLock] = {}
        self.used: dict[tuple[AccountId, int], set[int]] = {}
        self.words: dict[tuple[AccountId, int], int] = {}
        self.now_s = 0
        self.counts: Counter[str] = Counter()
        self.mines = True
        """False: somebody else makes the blocks, at the pace of true time."""

    @classmethod
    async def gather(cls, evm: EvmHarness, rng: random.Random, wraps: bool, number: int = 3) -> "EvmStrangers":
        """Accounts with ether, and with all units there can be of a token that says nothing of what moves.

        `wraps`: lanes' generations go round. A reorg may forget an override of storage, so it is one or the other.
        """
        accounts: list[Signer] = [await evm.account() for _ in range(number)]
        token = evm_address(await deployed(evm, "testing/SilentToken"))
        owner = evm_address(accounts[0].account)
        await evm.send(
            accounts[0],
            _call(accounts[0], token, encode_call("testing/SilentToken", "mint", owner, ALL_TOKENS)),
            _call(
                accounts[0],
                token,
                encode_call("testing/SilentToken", "approve", evm_address(evm.contracts.htlc), ALL_TOKENS),
            ),
        )
        return cls(evm, rng, accounts, token, wraps)

    async def act(self) -> None:
        """One block of what comes to their minds, and at times a lane whose generations have nearly gone round."""
        self.now_s = (await self.evm.access.heads.head()).head.time.seconds
        for lane in self.words:
            self.words[lane] = await self._stored(lane)
        if self.wraps and self.rng.random() < 0.6:
            await self._wrap()
        if self.mines and self.rng.random() < 0.2:
            await self.evm.rpc("evm_increaseTime", self.rng.randrange(1, 30))
        for signer in self.accounts:
            await self._submit(signer, [self._call(signer) for _ in range(self.rng.randrange(5))])
        await self._next_block()

    async def _next_block(self) -> None:
        if self.mines:
            await self.evm.advance(self.rng.randrange(1, 3))
            return
        height = (await self.evm.access.heads.head()).head.height

        async def mined() -> bool:
            return (await self.evm.access.heads.head()).head.height > height

        await eventually(mined, interval_s=0.1)

    async def use_twice(self, signer: Signer) -> None:
        """Lock, claim and lock again under one id, for one wei: what 65,536 uses of a lane come to."""
        sender, lane, secret = evm_address(signer.account), 77, SECRETS[1]
        later = (await self.evm.access.heads.head()).head.time.seconds + 10_000
        terms = int.from_bytes(sender, "big") << 96 | later << 56 | 1 << 32 | lane
        opened = _htlc("lock", hashlib.sha256(secret).digest(), terms)
        closed = _htlc("claim", secret, terms, sender, 1)
        await self._submit(signer, [_call(signer, self.htlc, opened, value=1), _call(signer, self.htlc, closed)])
        await self._next_block()
        await self._override((signer.account, lane), LaneStatus.CLAIMED)
        await self._submit(signer, [_call(signer, self.htlc, opened, value=1)])
        await self._next_block()

    async def _submit(self, signer: Signer, calls: list[UnsignedTransaction]) -> None:
        transactions = self.evm.chain.transactions
        sequence = (await transactions.sequences(signer.account)).latest
        market = await transactions.fee_market()
        assert market is not None
        fee = FeeBid(2 * market.base_fee + market.priority_fee, market.priority_fee)
        for offset, call in enumerate(calls):
            request = transactions.assemble(call, sequence + offset, fee, None)
            # A block that was full has left something of ours waiting, which has this sequence.
            with suppress(RejectedError):
                await transactions.submit(transactions.attach(request, await signer.sign(request)))

    def _call(self, signer: Signer) -> UnsignedTransaction:
        verb = self.rng.choice(VERBS)
        self.counts[verb] += 1
        match verb:
            case "lock":
                one = self._new_lock(signer, token=self.rng.random() < 0.3)
                return _call(signer, self.htlc, _lock_data(one), value=0 if one.asset else one.amount)
            case "bulk_lock":
                return self._bulk_lock(signer, [self._new_lock(signer) for _ in range(self.rng.randrange(1, 5))])
            case "flood":
                lanes = [1_000 + self.rng.randrange(2**16) for _ in range(FLOOD)]
                return self._bulk_lock(signer, [self._new_lock(signer, lane=lane) for lane in lanes])
            case "bulk_exit":
                return self._bulk_exit(signer)
            case "settle":
                calls = [data for _ in range(3) if (data := self._exit()) is not None]
                return _call(signer, self.htlc, _htlc("settleStrangers", calls, 200_000), gas=2_000_000)
            case "agreed":
                mine = [one for one in self.locks if one.receiver == evm_address(signer.account)]
                data = self._exit(self.rng.choice(mine), agreed=True) if mine else None
            case _:
                data = self._exit()
        return _call(signer, self.htlc, data or _htlc("laneWord", evm_address(signer.account), 0))

    def _new_lock(self, signer: Signer, lane: int | None = None, token: bool = False) -> StrangeLock:
        rng, once = self.rng, lane is not None
        lane = rng.choice(LANES) if lane is None else lane
        place = signer.account, lane
        word = 0 if once else self.words.setdefault(place, 0)
        generation = ((word >> 16) + 1) & MAX_GENERATION
        timelock = rng.choice((self.now_s + rng.randrange(2, 20),) * 3 + (MAX_TIMELOCK_S,))
        receivers = [evm_address(one.account) for one in self.accounts]
        receiver = int.from_bytes(rng.choice(receivers if rng.random() < 0.8 else ODD_RECEIVERS), "big")
        openable = [hashlib.sha256(one).digest() for one in SECRETS]
        hashlock = rng.choice(openable if rng.random() < 0.8 else (bytes(32), b"\xff" * 32))
        amount = rng.choice((1, rng.randrange(1, 1_000)))
        if token:
            amount = rng.choice((1, 2**255, ALL_TOKENS))
        one = StrangeLock(
            signer.account,
            hashlock,
            receiver << 96 | timelock << 56 | generation << 32 | lane,
            amount,
            ERC20_KIND | int.from_bytes(self.token, "big") if token else 0,
        )
        if once:
            return one
        if word & 0xFFFF != LaneStatus.LOCKED:
            # As it will be once this is mined; what does not come about is read again with the next block.
            self.words[place] = generation << 16 | LaneStatus.LOCKED
            self.used.setdefault(place, set()).add(generation)
            self.newest[place] = one
        self.locks.append(one)
        return one

    def _exit(self, one: StrangeLock | None = None, agreed: bool = False) -> bytes | None:
        """The call that claims, refunds or gives back a lock; None if nobody has locked yet."""
        if one is None:
            if not self.locks:
                return None
            standing = [one for one in self.newest.values() if self.words[one.place] & 0xFFFF == LaneStatus.LOCKED]
            one = self.rng.choice(standing if standing and self.rng.random() < 0.8 else self.locks)
        sender = evm_address(one.sender)
        secret = next((one_of for one_of in SECRETS if hashlib.sha256(one_of).digest() == one.hashlock), None)
        self.words[one.place] = self.words[one.place] & ~0xFFFF | LaneStatus.CLAIMED
        if agreed:
            return _htlc("refundAgreed", one.hashlock, one.terms, sender, one.amount, one.asset, ALL_TOKENS, b"")
        rest: tuple[Any, ...] = (one.terms, sender, one.amount, *([self.token] if one.asset else []))
        kind = "Token" if one.asset else ""
        passed = self.now_s >= one.terms >> 56 & MAX_TIMELOCK_S
        if secret is not None and passed is (self.rng.random() < 0.1):
            return _htlc(f"claim{kind}", secret, *rest)
        return _htlc(f"refund{kind}", one.hashlock, *rest)

    def _bulk_lock(self, signer: Signer, locks: list[StrangeLock]) -> UnsignedTransaction:
        items = [(one.hashlock, one.terms, one.amount) for one in locks]
        data = _htlc("bulkLock", self.rng.random() < 0.8, items, 0)
        return _call(signer, self.htlc, data, gas=BATCH_GAS, value=sum(one.amount for one in locks))

    def _bulk_exit(self, signer: Signer) -> UnsignedTransaction:
        native = [one for one in self.locks[-40:] if not one.asset]
        some = self.rng.sample(native, min(len(native), 4))
        secrets = {hashlib.sha256(one).digest(): one for one in SECRETS}
        if self.rng.random() < 0.5:
            items = [
                (secrets.get(one.hashlock, bytes(32)), one.terms, evm_address(one.sender), one.amount) for one in some
            ]
            return _call(signer, self.htlc, _htlc("bulkClaim", True, items, 0), gas=BATCH_GAS)
        items = [(one.hashlock, one.terms, evm_address(one.sender), one.amount) for one in some]
        return _call(signer, self.htlc, _htlc("bulkRefund", True, items, 0), gas=BATCH_GAS)

    async def _stored(self, place: tuple[AccountId, int]) -> int:
        return int(await self.evm.rpc("eth_getStorageAt", f"0x{self.htlc.hex()}", hex(_slot(place)), "latest"), 16)

    async def _override(self, place: tuple[AccountId, int], word: int) -> None:
        slot = f"0x{_slot(place):064x}"
        await self.evm.rpc("anvil_setStorageAt", f"0x{self.htlc.hex()}", slot, f"0x{word:064x}")

    async def _wrap(self) -> None:
        """Bring a settled lane to where 65,536 uses bring it: before a generation that it had."""
        ended = (LaneStatus.CLAIMED, LaneStatus.REFUNDED)
        settled = [place for place in self.used if self.words.get(place, 0) & 0xFFFF in ended]
        if not settled:
            return
        place = self.rng.choice(settled)
        generation = self.rng.choice((*sorted(self.used[place])[:3], 0, MAX_GENERATION))
        word = self.rng.getrandbits(224) << 32 | (generation - 1 & MAX_GENERATION) << 16 | LaneStatus.CLAIMED
        await self._override(place, word)
        self.words[place] = word
        self.counts["wrap"] += 1


def _slot(place: tuple[AccountId, int]) -> int:
    return lane_slot(Lane(evm_address(place[0]), place[1], 0))


def _lock_data(one: StrangeLock) -> bytes:
    if one.asset:
        token = (one.asset & (ERC20_KIND - 1)).to_bytes(20, "big")
        return _htlc("lockToken", one.hashlock, one.terms, one.amount, token)
    return _htlc("lock", one.hashlock, one.terms)


def _htlc(function: str, *arguments: Any) -> bytes:
    return encode_call("HashedTimelock", function, *arguments)


def _call(signer: Signer, to: bytes, data: bytes, gas: int = GAS, value: int = 0) -> UnsignedTransaction:
    return unsigned_call(signer.account, to, data, gas=gas, value=value, summary="a stranger's")
