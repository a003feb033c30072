"""Strangers who use the contract as its rules allow, and nearly so, in any order and with every extreme."""

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.signed_locks import PERMIT2
from adapters.evm.signing import LocalSigner
from core.model.errors import RejectedError
from core.model.ports import Signer
from core.model.transactions import FeeBid, UnsignedTransaction
from core.model.types import MAX_TIMELOCK_S, AccountId
from core.proofs.lanes import MAX_GENERATION, MAX_LANE, Lane, LaneStatus, evm_address, lane_slot
from tests.adapters.evm.harness import EvmHarness
from tests.adapters.evm.permit2 import CREATE2_PROXY, creation
from tests.adapters.evm.test_consents import deployed
from tests.indexer.strange_calls import (
    BATCH_GAS,
    CALL,
    DELEGATE_CALL,
    ERC20_KIND,
    GAS,
    MAX_WORD,
    SECRETS,
    Extremes,
    HtlcCall,
    Party,
    Signing,
    Step,
    StrangeLock,
    bulk_lock,
    lock_call,
)
from tests.support import eventually

LANES: Final = (0, 1, 2, MAX_LANE)
ODD_RECEIVERS: Final = (bytes(19) + b"\1", b"\xff" * 20)
SIGNED: Final = ("permit", "authorization", "permit2")
BULKS: Final = ("bulk_lock", "bulk_claim", "bulk_refund", "settle")
VERBS: Final = (
    *("lock",) * 6, *("exit",) * 8, *("late", "late", "agreed") * 3, *SIGNED * 2, *BULKS,
    *("batch", "extreme", "bent", "look") * 2, "flood",
)  # fmt: skip
FLOOD: Final = 60
"""Locks of one transaction."""
GAS_EACH: Final = 250_000
PURSE_WEI: Final = 10**16
PURSE_TOKENS: Final = 10**9
FAR: Final = 2**40
"""A time that does not come."""


class EvmStrangers:
    """Some accounts and contracts, few lanes each, so that everything meets.

    `counts`: what they did, by name. `called`: the contract's functions that they called, by name.
    """

    def __init__(
        self, evm: EvmHarness, rng: random.Random, accounts: list[LocalSigner], wraps: bool, tokens: Sequence[bytes]
    ) -> None:
        """`tokens`: one that says nothing of what moves, one that takes signatures, and one that is followed."""
        self.evm, self.rng, self.accounts, self.wraps = evm, rng, accounts, wraps
        self.htlc = evm_address(evm.contracts.htlc)
        self.silent, self.signable, self.followed = self.tokens = tuple(tokens)
        self.signing = Signing(self.htlc, self.signable, "Signed")
        self.parties = [Party(one.account, one) for one in accounts]
        self.extremes = Extremes(rng, (self.htlc, *tokens, *(evm_address(one.account) for one in accounts)))
        self.locks: list[StrangeLock] = []
        self.newest: dict[tuple[AccountId, int], StrangeLock] = {}
        self.used: dict[tuple[AccountId, int], set[int]] = {}
        self.words: dict[tuple[AccountId, int], int] = {}
        self.overridden: dict[int, int] = {}
        """Words by slot, as they were put into the contract's storage from outside."""
        self.nonces: dict[AccountId, int] = {}
        self.now_s = 0
        self.counts: Counter[str] = Counter()
        self.called: Counter[str] = Counter()
        self.mines = True
        """False: somebody else makes the blocks, at the pace of true time."""

    @classmethod
    async def gather(cls, evm: EvmHarness, rng: random.Random, wraps: bool, number: int = 3) -> "EvmStrangers":
        """Accounts and contracts with ether and tokens, and one with all units that there can be of a token.

        `wraps`: lanes' generations go round. A reorg may forget an override of storage, so it is one or the other.
        """
        accounts = [await evm.account() for _ in range(number)]
        silent, signable = [evm_address(await deployed(evm, f"testing/{kind}Token")) for kind in ("Silent", "Signed")]
        followed = evm_address(evm.contracts.tokens[0])
        made = cls(evm, rng, accounts, wraps, (silent, signable, followed))
        bank = evm.bank
        await evm.send(bank, _call(bank, bytes.fromhex(CREATE2_PROXY[2:]), creation(), gas=BATCH_GAS))
        await evm.send(
            accounts[0],
            _call(accounts[0], silent, _mint(evm_address(accounts[0].account), MAX_WORD)),
            _call(accounts[0], silent, _approve(made.htlc)),
        )
        for account in accounts:
            approvals = [
                (silent, PERMIT2), (signable, PERMIT2), (followed, PERMIT2), (followed, made.htlc)
            ]  # fmt: skip
            await evm.send(
                account,
                _call(account, signable, _mint(evm_address(account.account), PURSE_TOKENS)),
                *(_call(account, token, _approve(spender)) for token, spender in approvals),
            )
        for owner in accounts[:2]:
            await made._build(owner)
        return made

    async def _build(self, owner: LocalSigner) -> None:
        """A contract that `owner` signs for."""
        party = Party(await deployed(self.evm, "testing/Batcher", evm_address(owner.account)), owner)
        address = evm_address(party.account)
        steps = [(CALL, token, 0, _approve(spender)) for token in self.tokens for spender in (self.htlc, PERMIT2)]
        steps += [(CALL, token, 0, _mint(address, PURSE_TOKENS)) for token in (self.signable, self.followed)]
        await self.evm.send(owner, self._run(owner, party, steps, value=PURSE_WEI))
        self.parties.append(party)
        self.extremes.addresses = (*self.extremes.addresses, address)

    # --- one block ---

    async def act(self) -> None:
        """One block of what comes to their minds, and at times a lane whose generations have nearly gone round."""
        self.now_s = (await self.evm.access.heads.head()).head.time.seconds
        for lane in self.words:
            self.words[lane] = await self._stored(lane)
        for party in self.parties:
            self.nonces[party.account] = await self._nonce(party)
        if self.wraps and self.rng.random() < 0.6:
            await self._wrap()
        if self.mines and self.rng.random() < 0.4:
            await self.evm.rpc("evm_increaseTime", self.rng.randrange(1, 30))
        for signer in self.accounts:
            await self._submit(signer, [await self._transaction(signer) for _ in range(self.rng.randrange(5))])
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
        opened = self._to_htlc(signer, HtlcCall("lock", (hashlib.sha256(secret).digest(), terms), value=1))
        closed = self._to_htlc(signer, HtlcCall("claim", (secret, terms, sender, 1)))
        await self._submit(signer, [opened, closed])
        await self._next_block()
        await self._override((signer.account, lane), LaneStatus.CLAIMED)
        await self._submit(signer, [opened])
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

    async def _transaction(self, signer: LocalSigner) -> UnsignedTransaction:
        verb = self.rng.choice(VERBS)
        self.counts[verb] += 1
        if verb == "batch":
            return await self._batch(signer)
        return self._to_htlc(signer, await self._call_of(verb, Party(signer.account, signer)))

    async def _batch(self, signer: LocalSigner) -> UnsignedTransaction:
        """Several calls of a contract in one transaction, with logs that look like ours around them."""
        party = self.rng.choice([one for one in self.parties if one.is_contract])
        steps: list[Step] = [self.extremes.log()]
        for _ in range(self.rng.randrange(1, 5)):
            verb = self.rng.choice([verb for verb in VERBS if verb not in ("batch", "flood")])
            call = self._noted(await self._call_of(verb, party))
            steps += [(CALL, self.htlc, call.value, call.data), self.extremes.log()]
            if self.rng.random() < 0.3:
                # Our own code, and so our own events, at an address that is not ours.
                steps.append((DELEGATE_CALL, self.htlc, 0, call.data))
        return self._run(signer, party, steps)

    # --- calls ---

    async def _call_of(self, verb: str, who: Party) -> HtlcCall:
        """Return the call of `who`. If there is nothing to do so to, a lane's word."""
        rng, found = self.rng, None
        match verb:
            case "lock":
                token = rng.choice((None, None, self.silent, self.followed))
                found = lock_call(self._new_lock(who.account, token=token))
            case "permit" | "authorization" | "permit2":
                found = await self._signed_lock(verb, who)
            case "agreed":
                found = await self._agreed(who)
            case "bulk_lock":
                token = rng.choice((None, self.followed))
                found = bulk_lock(
                    rng.random() < 0.8, [self._new_lock(who.account, token=token) for _ in range(rng.randrange(1, 5))]
                )
            case "flood":
                lanes = [1_000 + rng.randrange(2**16) for _ in range(FLOOD)]
                found = bulk_lock(rng.random() < 0.8, [self._new_lock(who.account, lane=lane) for lane in lanes])
            case "bulk_claim" | "bulk_refund":
                found = self._bulk_exit(verb)
            case "settle":
                kinds = ("exit", "exit", "exit", "agreed", "bulk_claim", "bulk_refund")
                items = [await self._call_of(rng.choice(kinds), who) for _ in range(3)]
                calls = [self._noted(one).data for one in items if one.function != "laneWord" or rng.random() < 0.1]
                gas_each = GAS_EACH if rng.random() < 0.9 else rng.choice((0, 1, 50_000, MAX_WORD))
                found = HtlcCall("settleStrangers", (calls, gas_each), gas=2_000_000)
            case "extreme":
                found = self.extremes.call()
            case "bent":
                # Somewhere else, so that no lane is left locked on terms which nobody remembers.
                one = lock_call(self._new_lock(who.account, lane=100_000 + rng.randrange(2**16), token=self.followed))
                found = self.extremes.bent(rng.choice([self._exit() or one, one]))
            case "exit":
                found = self._exit()
            case "late":
                late = [one for one in self._standing() if one.timelock_s <= self.now_s]
                found = self._refund(rng.choice(late)) if late else None
        return found or HtlcCall("laneWord", (evm_address(who.account), rng.choice(LANES)))

    def _new_lock(self, sender: AccountId, lane: int | None = None, token: bytes | None = None) -> StrangeLock:
        rng, once = self.rng, lane is not None
        lane = rng.choice(LANES) if lane is None else lane
        place = sender, lane
        word = 0 if once else self.words.setdefault(place, 0)
        generation = ((word >> 16) + 1) & MAX_GENERATION
        timelock = rng.choice((self.now_s + rng.randrange(2, 20),) * 7 + (MAX_TIMELOCK_S,))
        receivers = [evm_address(one.account) for one in self.parties]
        receiver = int.from_bytes(rng.choice(receivers if rng.random() < 0.8 else ODD_RECEIVERS), "big")
        openable = [hashlib.sha256(one).digest() for one in SECRETS]
        hashlock = rng.choice(openable if rng.random() < 0.8 else (bytes(32), b"\xff" * 32))
        amount = rng.choice((1, 2**255, MAX_WORD) if token == self.silent else (1, rng.randrange(1, 1_000)))
        one = StrangeLock(
            sender,
            hashlock,
            receiver << 96 | timelock << 56 | generation << 32 | lane,
            amount,
            0 if token is None else ERC20_KIND | int.from_bytes(token, "big"),
        )
        if rng.random() < 0.1:
            return self._refused(one)
        if once:
            return one
        if word & 0xFFFF != LaneStatus.LOCKED:
            # As it will be once this is mined; what does not come about is read again with the next block.
            self.words[place] = generation << 16 | LaneStatus.LOCKED
            self.used.setdefault(place, set()).add(generation)
            self.newest[place] = one
        self.locks.append(one)
        return one

    def _refused(self, one: StrangeLock) -> StrangeLock:
        """The lock with one thing that the contract refuses."""
        rest = one.terms & (2**96 - 1)
        own, unknown_flag = int.from_bytes(self.htlc, "big"), 1 << 48 + self.rng.randrange(8)
        timeless = one.terms & ~(2**40 - 1 << 56)
        terms = self.rng.choice(
            (
                own << 96 | rest,
                rest,
                one.terms | unknown_flag,
                timeless,
                timeless | 1 << 56,
                one.terms ^ 1 << 32,
                0,
                MAX_WORD,
            )
        )
        return replace(one, terms=terms) if self.rng.random() < 0.8 else replace(one, amount=0)

    def _until(self) -> int:
        return FAR if self.rng.random() < 0.9 else self.rng.choice((0, 1, self.now_s, MAX_WORD))

    async def _signed_lock(self, verb: str, who: Party) -> HtlcCall:
        """A token lock by signature: a permit is its sender's to use, the others are anybody's."""
        if verb == "permit":
            one = self._new_lock(who.account, token=self.signable)
            allowance = self.rng.choice((one.amount, MAX_WORD, 0))
            return await self.signing.permit(one, who.key, self.nonces[who.account], allowance, self._until())
        if verb == "authorization":
            key = self.rng.choice(self.accounts)
            one = self._new_lock(key.account, token=self.signable)
            return await self.signing.authorization(one, key, self._until())
        owner = self.rng.choice(self.parties)
        one = self._new_lock(owner.account, token=self.rng.choice((self.signable, self.followed)))
        return await self.signing.permit2(one, owner.key, self.rng.getrandbits(256), self._until())

    def _standing(self) -> list[StrangeLock]:
        return [one for one in self.newest.values() if self.words[one.place] & 0xFFFF == LaneStatus.LOCKED]

    async def _agreed(self, who: Party) -> HtlcCall | None:
        """A refund before the timelock, handed in by whoever has the receiver's signature, or is the receiver."""
        keys = {evm_address(one.account): one.key for one in self.parties}
        locks = self._standing() if self.rng.random() < 0.8 else self.locks
        mine = [one for one in locks if one.receiver in keys]
        if not mine:
            return None
        one = self.rng.choice(mine)
        self._settled(one)
        is_receiver = one.receiver == evm_address(who.account)
        return await self.signing.early_refund(one, None if is_receiver else keys[one.receiver], self._until())

    def _settled(self, one: StrangeLock) -> None:
        self.words[one.place] = self.words.get(one.place, 0) & ~0xFFFF | LaneStatus.CLAIMED

    def _exit(self) -> HtlcCall | None:
        """The call that claims or refunds a lock; None if nobody has locked yet."""
        if not self.locks:
            return None
        standing = self._standing()
        one = self.rng.choice(standing if standing and self.rng.random() < 0.8 else self.locks)
        secret = one.secret
        passed = self.now_s >= one.timelock_s
        if secret is None or passed is not (self.rng.random() < 0.1):
            return self._refund(one)
        self._settled(one)
        return one.claim(secret)

    def _refund(self, one: StrangeLock) -> HtlcCall:
        self._settled(one)
        return one.refund()

    def _bulk_exit(self, verb: str) -> HtlcCall | None:
        recent = [*self._standing(), *self.locks[-20:]]
        if not recent:
            return None
        asset = self.rng.choice(recent).asset
        some = [one for one in recent if one.asset == asset or self.rng.random() < 0.1]
        some = self.rng.sample(some, min(len(some), 4))
        firsts = [one.secret or bytes(32) if verb == "bulk_claim" else one.hashlock for one in some]
        items = [
            (first, one.terms, evm_address(one.sender), one.amount) for first, one in zip(firsts, some, strict=True)
        ]
        function = "bulkClaim" if verb == "bulk_claim" else "bulkRefund"
        return HtlcCall(function, (self.rng.random() < 0.9, items, asset), gas=BATCH_GAS)

    # --- transactions ---

    def _noted(self, call: HtlcCall) -> HtlcCall:
        self.called[call.function] += 1
        return call

    def _to_htlc(self, signer: Signer, call: HtlcCall) -> UnsignedTransaction:
        self._noted(call)
        return _call(signer, self.htlc, call.data, gas=call.gas, value=call.value)

    def _run(self, signer: Signer, party: Party, steps: Sequence[Step], value: int = 0) -> UnsignedTransaction:
        data = encode_call("testing/Batcher", "run", list(steps))
        return _call(signer, evm_address(party.account), data, gas=BATCH_GAS, value=value)

    # --- the contract's storage ---

    async def _nonce(self, party: Party) -> int:
        """The next of the owner's permits."""
        data = encode_call("testing/SignedToken", "nonces", evm_address(party.account))
        call = {"to": f"0x{self.signable.hex()}", "data": f"0x{data.hex()}"}
        return int(await self.evm.rpc("eth_call", call, "latest"), 16)

    async def _stored(self, place: tuple[AccountId, int]) -> int:
        return int(await self.evm.rpc("eth_getStorageAt", f"0x{self.htlc.hex()}", hex(_slot(place)), "latest"), 16)

    async def _override(self, place: tuple[AccountId, int], word: int) -> None:
        slot = f"0x{_slot(place):064x}"
        await self.evm.rpc("anvil_setStorageAt", f"0x{self.htlc.hex()}", slot, f"0x{word:064x}")
        self.overridden[_slot(place)] = word

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


def _mint(to: bytes, amount: int) -> bytes:
    return encode_call("testing/SilentToken", "mint", to, amount)


def _approve(spender: bytes) -> bytes:
    return encode_call("testing/SilentToken", "approve", spender, MAX_WORD)


def _call(signer: Signer, to: bytes, data: bytes, gas: int = GAS, value: int = 0) -> UnsignedTransaction:
    return unsigned_call(signer.account, to, data, gas=gas, value=value, summary="a stranger's")
