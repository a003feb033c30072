"""Online reload of a relayer: the file is read again, checked as a whole, and put in force as a whole or not at all.

    SIGHUP, or a row of `causeway relayer reload`  ──>  read ──> compare ──> connect ──> make ──> begin again
                                                        │ a fault anywhere: refused, and what was in force stays

What is in force is one configuration object. The work of the daemon is made from it, and made again from the new one
(`gateway.daemons.life`): swaps go on where the database has them, quotes that were signed stay good.
"""

import asyncio
import hashlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from adapters.registry import ConnectedChain
from core.model.errors import CausewayError, RejectedError, RetryableError
from core.model.types import ChainId
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.leases import this_process
from core.runtime.logging import get_logger, set_level
from core.runtime.signals import Signal
from gateway.config import ChainConfig, RelayerConfig, load
from gateway.config.reading import MAX_CONFIG_BYTES
from relayer import reloads

LOOK_S: Final = 2.0
CONNECT_S: Final = 20.0
"""How long new endpoints have to answer."""
RELOADABLE: Final = frozenset(
    {
        *("pairs", "prices", "limits", "gas_per_exit", "max_open_swaps", "quote_ttl_s", "cors_origins", "log_level"),
        *("tokens", "opening", "watchtower", "treasury", "screening", "chains", "accounts", "retiring", "swap_page"),
    }
)
RELOADABLE_OF_CHAINS: Final = frozenset({"endpoints", "max_fee_gwei", "headers_per_day_wei"})

log = get_logger("gateway.daemons.reloading")


class Chains(Protocol):
    """The part of `World` that a reload needs."""

    @property
    def chains(self) -> Mapping[ChainId, ConnectedChain]: ...

    async def connected(self, config: ChainConfig) -> ConnectedChain:
        """Connect a chain by other endpoints, and look at it. Raise as `connect`."""

    def replace(self, configs: Sequence[ChainConfig], made: Mapping[ChainId, ConnectedChain]) -> None:
        """Put these in place of what was configured and connected; the work begins again."""


Check = Callable[[RelayerConfig, Mapping[ChainId, ConnectedChain]], Awaitable[None]]
"""Make everything of a configuration, for nothing. Raise `RejectedError`, and `RetryableError` while that cannot be
known."""
Answer = Callable[[str], Awaitable[None]]


async def _to_nobody(_: str) -> None:
    """Who sent a signal reads the log."""


def fixed(old: RelayerConfig, new: RelayerConfig) -> list[str]:
    """Return the places of members that differ and cannot be reloaded, such as `chains[0].timing`."""
    found = [
        name
        for name in RelayerConfig.__struct_fields__
        if name not in RELOADABLE and getattr(old, name) != getattr(new, name)
    ]
    former = {chain.id: chain for chain in old.chains}
    if former.keys() != {chain.id for chain in new.chains}:
        return [*found, "chains"]
    for number, chain in enumerate(new.chains):
        found += [
            f"chains[{number}].{name}"
            for name in ChainConfig.__struct_fields__
            if name not in RELOADABLE_OF_CHAINS and getattr(former[chain.id], name) != getattr(chain, name)
        ]
    return found


class Reloading:
    """The configuration that is in force, and what puts another in its place. `asked` counts SIGHUPs."""

    def __init__(self, path: Path, config: RelayerConfig, clock: Clock, follow_level: bool = True) -> None:
        """`follow_level`: log as the file says; false if the command line said it."""
        self.config = config
        self.asked = Signal()
        self._path = path
        self._clock = clock
        self._follow_level = follow_level
        self._holder = this_process()
        self._started_ns = clock.now_ns()
        self._done = 0
        self._seen: int | None = None

    @contextmanager
    def by_signal(self) -> Iterator[None]:
        """SIGHUP asks for a reload while the block runs."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.asked.notify)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    async def run(self, database: Database, chains: Chains, check: Check) -> None:
        """Reload whenever it is asked for; runs until cancelled, as it is by the work that begins again."""
        while True:
            if (asked := self.asked.count) > self._done:
                await self.reload(chains, check)
                self._done = asked  # after it: a reload that another chain's coming cuts short is made up for
            with suppress(RetryableError):
                await self._look(database, chains, check)
            await self.asked.wait_beyond(self._done, LOOK_S)

    async def _look(self, database: Database, chains: Chains, check: Check) -> None:
        """Take in what `causeway relayer reload` has written since this process began."""
        row = await database.read(reloads.newest)
        if row is None or (self._seen is not None and row.id <= self._seen):
            return
        if self._seen is None and row.asked_ns < self._started_ns:
            self._seen = row.id
            return

        async def answer(refused: str) -> None:
            now_ns = self._clock.now_ns()
            work = partial(reloads.answer, number=row.id, holder=self._holder, refused=refused, now_ns=now_ns)
            await database.write(work)

        await self.reload(chains, check, row.digest, answer)
        self._seen = row.id  # after it: one that the database, or another chain's coming, cuts short is made up for

    async def reload(
        self, chains: Chains, check: Check, digest: bytes | None = None, answer: Answer = _to_nobody
    ) -> bool:
        """Put the file in force. Return false if it is refused, for any reason; then nothing has changed.

        `answer` is awaited before, with the refusal or an empty text: what begins again cancels who asked.
        """
        made: dict[ChainId, ConnectedChain] = {}
        async with AsyncExitStack() as unless_in_force:
            unless_in_force.push_async_callback(_close, made)
            try:
                new = self._read(digest)
                await self._connect(chains, new, made)
                await check(new, {**chains.chains, **made})
            except (CausewayError, TimeoutError) as error:
                refused = error.message if isinstance(error, CausewayError) else "new endpoints do not answer in time"
                log.warning("reload refused: what was in force stays", reason=refused)
                await answer(refused)
                return False
            await answer("")
            unless_in_force.pop_all()
        changed = [name for name in RELOADABLE if getattr(self.config, name) != getattr(new, name)]
        self.config = new
        if self._follow_level:
            set_level(new.log_level)
        log.info("reloaded", changed=sorted(changed))
        if set(changed) - {"log_level"}:
            chains.replace(new.chains, made)
        return True

    def _read(self, digest: bytes | None) -> RelayerConfig:
        """Raise `RejectedError` with all that is wrong with the file, or cannot be reloaded."""
        if digest is not None and digest_of(self._path) != digest:
            raise RejectedError(f"{self._path} here is another file than the one that was checked: copy it first")
        new = load(self._path, RelayerConfig)
        if differ := fixed(self.config, new):
            raise RejectedError(
                f"{', '.join(differ)} cannot be changed while the relayer runs: start it again, or put back what was "
                "there"
            )
        return new

    async def _connect(self, chains: Chains, new: RelayerConfig, made: dict[ChainId, ConnectedChain]) -> None:
        """Connect the chains that have other endpoints now, into `made`. Raise once each has answered or failed, for
        the first that failed."""
        former = {chain.id: chain for chain in self.config.chains}

        async def one(chain: ChainConfig) -> None:
            made[ChainId(chain.id)] = await chains.connected(chain)

        wanted = [chain for chain in new.chains if chain.endpoints != former[chain.id].endpoints]
        async with asyncio.timeout(CONNECT_S):
            ends = await asyncio.gather(*map(one, wanted), return_exceptions=True)
        for chain, end in zip(wanted, ends, strict=True):
            if isinstance(end, BaseException):
                raise RejectedError(f"{chain.id} by its new endpoints: {end}") from end


async def _close(made: Mapping[ChainId, ConnectedChain]) -> None:
    await asyncio.gather(*(one.close() for one in made.values()), return_exceptions=True)


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 (32 bytes) of a configuration as it stands. Raise `RejectedError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.sha256(file.read(MAX_CONFIG_BYTES + 1)).digest()
    except OSError as error:
        raise RejectedError(f"{path}: {error.strerror}") from None
