"""A pump as a whole: the parts that a relayer and a dApp's client both run, joined once.

    facts ──> absorber ──> htlc ──> outbox ──> executor ──> transactions ──> chains
                 ▲                                               │
                 └──────────────── outcomes ◄────────────────────┘

The role stands in each swap's agreement. What a role adds (a desk, a watchtower, followers, hooks) is built around the
pump by who plays it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy.engine import Connection

from core.model.errors import RetryableError
from core.model.ports import ChainAccess, Signer
from core.model.types import ChainId, SwapId, chain_of
from core.runtime import retry
from core.runtime.clock import Clock, true_seconds
from core.runtime.database import Database
from core.runtime.supervisor import Worker
from htlc import events
from indexer.feed import FactSignal
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.policy import RelayerPolicy
from relayer.pump import swaps, tables
from relayer.pump.absorb import Absorber
from relayer.pump.allowances import Allowances
from relayer.pump.checks import Checks, Consultation, PreimageVault
from relayer.pump.execute import Executor
from relayer.pump.hands import ActingChain, Hands
from relayer.pump.outcomes import OutcomeRecorder
from relayer.pump.updates import SwapUpdates
from relayer.switchboard import Switches
from relayer.transactions import accounts
from relayer.transactions.accounts import ForeignUse
from relayer.transactions.pipeline import Pipeline


class Pump:
    """The parts, joined. The schema must exist; one pump per database.

    `signers` hold one account for each chain, with which swaps begin; `retiring` are others of ours on these chains,
    which end the swaps that began with them. `vault` keeps an initiator's preimages. `consultation` is asked before
    each lock and each reveal, `switches` before each lock.
    """

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, ChainAccess],
        signers: Mapping[ChainId, Signer],
        policy: RelayerPolicy,
        facts: FactSignal,
        clock: Clock,
        metrics: RelayerMetrics,
        vault: PreimageVault | None = None,
        consultation: Consultation | None = None,
        switches: Switches | None = None,
        retiring: Sequence[Signer] = (),
    ) -> None:
        self._database = database
        self._chains = chains
        self._policy = policy
        self._clock = clock
        self._metrics = metrics
        self.updates = SwapUpdates()
        self.heads = {chain: HeadBoard(access.heads) for chain, access in chains.items()}
        self.accounts = {chain: signer.account for chain, signer in signers.items()}
        self.pipelines = {chain: self._pipeline(chain, signer) for chain, signer in signers.items()}
        self.retiring = tuple(self._pipeline(chain_of(one.account), one) for one in retiring)
        """The ways out of accounts that end what they began."""
        self.other_pipelines: list[Pipeline] = []
        """Those of accounts that no swap is settled with."""
        former = [one.account for one in self.retiring]
        self.checks = Checks(database, chains, self.accounts, policy, clock, consultation, switches, former, self.heads)
        present = {chain: self._acting(pipeline) for chain, pipeline in self.pipelines.items()}
        self.allowances = {chain: one.allowances for chain, one in present.items()}
        hands = Hands(present, [self._acting(one) for one in self.retiring])
        self._executor = Executor(database, hands, self.checks, self.updates, clock, metrics, vault)
        self._absorber = Absorber(database, facts, self.updates, clock, metrics)
        self._outcomes = OutcomeRecorder(database, self.own_pipelines, self.updates, clock)

    @property
    def own_pipelines(self) -> tuple[Pipeline, ...]:
        """The ways out of all accounts that swaps are settled with."""
        return (*self.pipelines.values(), *self.retiring)

    def pipeline_of(self, chain: ChainId, signer: Signer, shared: bool = False) -> Pipeline:
        """Return the pipeline of this account, making one if it has none yet: an account has one and no more. `shared`:
        its owner uses the account elsewhere, too."""
        for known in (*self.own_pipelines, *self.other_pipelines):
            if (known.chain, known.account) == (chain, signer.account):
                return known
        self.other_pipelines.append(self._pipeline(chain, signer, shared))
        return self.other_pipelines[-1]

    async def foreign_uses(self) -> list[ForeignUse]:
        """Return the uses of our accounts that nobody here knows, and that the operator has not acknowledged."""
        ours = [(one.chain, one.account) for one in (*self.own_pipelines, *self.other_pipelines)]
        return await self._database.read(lambda c: accounts.unacknowledged(c, ours))

    def workers(self) -> list[Worker]:
        """Everything that has to run. Swaps, effects and outcomes are the money path, which every duty stands on: what
        is fatal there is fatal. A chain or an account that cannot go on rests alone."""
        alone = [
            *self.account_workers(),
            *(
                Worker(f"transactions {one.chain} operator {number}", self._opened(one))
                for number, one in enumerate(self.other_pipelines)
            ),
        ]
        return [
            Worker("swaps", self._absorber.run, delays=retry.MONEY),
            Worker("effects", self._executor.run, delays=retry.MONEY),
            Worker("outcomes", self._outcomes.run, delays=retry.MONEY),
            *(replace(one, contained=True) for one in alone),
        ]

    def account_workers(self) -> list[Worker]:
        """Only what our transactions need to go out and be followed: heads, and the way out of each account."""
        return [
            *(Worker(f"heads {chain}", board.run) for chain, board in self.heads.items()),
            *(Worker(f"transactions {chain}", self._opened(one)) for chain, one in self.pipelines.items()),
            *(Worker(f"transactions {one.account}", self._opened(one)) for one in self.retiring),
        ]

    async def expire_quotes(self) -> None:
        """`QuoteExpired` for every swap whose time to lock is over, once its chains were read up to now: whoever was
        away may not know of a lock."""
        now_ns = self._clock.now_ns()
        now_s = true_seconds(now_ns)
        late = await self._database.read(lambda c: tables.never_locked(c, now_s))
        read = {chain: await self._is_read(chain) for chain in sorted({chain for row in late for chain in row.chains})}

        def expire(connection: Connection) -> list[SwapId]:
            still = tables.never_locked(connection, now_s)
            ripe = [row.swap_id for row in still if all(read.get(chain, False) for chain in row.chains)]
            happened = [events.QuoteExpired(now_s)]
            return [swap_id for swap_id in ripe if swaps.take(connection, swap_id, happened, now_ns=now_ns)]

        if any(read.values()):
            with self.updates.unsure_if_unheard():
                self.updates.changed(await swaps.write(self._database, expire))

    async def _is_read(self, chain: ChainId) -> bool:
        try:
            await self.checks.read_up(chain)
        except RetryableError:
            return False
        return True

    def _pipeline(self, chain: ChainId, signer: Signer, shared: bool = False) -> Pipeline:
        access, policy = self._chains[chain], self._policy.pipeline_on(chain)
        policy = replace(policy, shared=policy.shared or shared)
        return Pipeline(self._database, access, signer, self.heads[chain], self._clock, policy, self._metrics)

    def _acting(self, pipeline: Pipeline) -> ActingChain:
        access = self._chains[pipeline.chain]
        return ActingChain(access, pipeline, Allowances(self._database, access, pipeline))

    def _opened(self, pipeline: Pipeline) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await pipeline.start()
            self.updates.effects.notify()
            await pipeline.run()

        return run
