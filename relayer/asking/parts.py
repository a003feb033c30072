"""The parts of a relayer that answer questions of callers, and how they hang together."""

from dataclasses import dataclass
from typing import Final

from core.model.ports import Prover
from core.runtime.clock import Clock, SecretSource, SystemSecrets
from core.runtime.database import Database
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Worker
from relayer.asking import follow_rows, rows
from relayer.asking.caller_queries import CallerQueries
from relayer.asking.hooks import SubscriptionHooks
from relayer.asking.pusher import Pusher
from relayer.metrics import RelayerMetrics
from relayer.notices.addresses import Reach
from relayer.notices.webhooks import Post, guarded_post

TABLES: Final = (*rows.TABLES, *follow_rows.TABLES)


@dataclass(frozen=True, slots=True)
class Asking:
    """`hooks` posts to webhooks of subscriptions at addresses within `reach`; both are None if callers have none."""

    queries: CallerQueries
    pusher: Pusher
    reach: Reach | None
    hooks: SubscriptionHooks | None

    def workers(self) -> list[Worker]:
        hooks = [] if self.hooks is None else self.hooks.workers()
        return [*self.queries.workers(), *self.pusher.workers(), *hooks]


def make_asking(
    database: Database,
    prover: Prover | None,
    clock: Clock,
    reach: Reach | None = None,
    secrets: SecretSource | None = None,
    post: Post | None = None,
    metrics: Metrics | None = None,
) -> Asking:
    """`prover` is None if nothing is proven here, `reach` if nothing is posted; `post` stands in for the network."""
    secrets = secrets or SystemSecrets()
    shown = RelayerMetrics(metrics or Metrics())
    pusher = Pusher(database, prover, clock, secrets, shown)
    hooks = None if reach is None else SubscriptionHooks(database, pusher, clock, post or guarded_post(reach))
    return Asking(CallerQueries(database, prover, clock, secrets, shown), pusher, reach, hooks)
