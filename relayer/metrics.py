"""A relayer's metrics for its operator, named as in other relayers."""

from core.runtime.metrics import Metrics


class RelayerMetrics:
    """All metrics of the relayer, in the process's registry."""

    def __init__(self, metrics: Metrics) -> None:
        gauge, counter, histogram = metrics.gauge, metrics.counter, metrics.histogram
        self.backlog = gauge("relayer_backlog_size", "Transactions that may still change", ["chain"])
        self.broadcast_errors = counter(
            "relayer_broadcast_errors_total", "Broadcasts that failed, by error", ["chain", "code"]
        )
        self.simulate_errors = counter("relayer_simulate_errors_total", "Simulations that reverted", ["chain"])
        self.rebroadcasts = counter("relayer_rebroadcasts_total", "Dropped transactions sent again", ["chain"])
        self.replacements = counter("relayer_replacements_total", "Transactions signed again", ["chain"])
        self.cancellations = counter(
            "relayer_cancellations_total", "Transactions that were cancelled under their sequence", ["chain"]
        )
        self.foreign_uses = counter(
            "relayer_foreign_uses_total", "Sequences of our account that somebody else used", ["chain"]
        )
        self.unacknowledged = gauge(
            "relayer_unacknowledged_uses", "Foreign uses of our accounts that wait for the operator"
        )
        self.faults = counter("relayer_faults_total", "Errors that nobody planned for, by where they arose", ["part"])
        self.exits_together = counter(
            "relayer_exits_together_total", "Claims and refunds that shared a transaction", ["chain"]
        )
        self.locks_together = counter("relayer_locks_together_total", "Own locks that shared a transaction", ["chain"])
        self.submitted_s = histogram("relayer_tx_latency_submitted_seconds", "From signed to broadcast", ["chain"])
        self.confirmed_s = histogram("relayer_tx_latency_confirmed_seconds", "From signed to included", ["chain"])
        self.wallet_balance = gauge("relayer_wallet_balance", "Base units that the relayer holds", ["asset"])
        self.low_balance = gauge("relayer_balance_low", "1 while a balance is below its threshold", ["asset"])
        self.locked_funds = gauge("relayer_swap_locked_funds", "Own base units locked in open swaps", ["asset"])
        self.reserved_funds = gauge(
            "relayer_swap_reserved_funds",
            "Base units that open swaps keep: what they will lock, and gas of exits",
            ["asset"],
        )
        self.pending = gauge("relayer_swap_pending_counts", "Swaps that are not done, by state", ["state"])
        self.settled = counter("relayer_swaps_settled_total", "Swaps that are done, by outcome", ["outcome"])
        self.price_usable = gauge("relayer_price_usable", "1 while pairs are quoted at the price", ["price"])
        self.effects = counter("relayer_effects_total", "Effects tried, by result", ["kind", "result"])
        self.effect_backlog = gauge("relayer_effect_backlog", "Effects that are due and not done")
        self.gates_closed = counter("relayer_gates_closed_total", "Refusals to quote, fund or reveal", ["gate"])
        self.retiring = gauge("relayer_retiring_open", "What an account that retires has left to do", ["account"])
        self.paused = gauge("relayer_paused", "1 while a switch keeps something back", ["scope", "cause"])
        self.nearest_timelock_s = gauge("relayer_nearest_timelock_seconds", "Until an open swap's next timelock")
        self.critical_error = gauge("relayer_critical_error", "1 after an error that ended the relayer")
        self.caller_queries = counter(
            "relayer_caller_queries_total", "Queries of callers that have ended, by how", ["standing"]
        )
        self.open_queries = gauge("relayer_caller_queries_open", "Queries of callers that wait for an answer")
        self.followed = gauge("relayer_followed_questions", "Different questions that callers follow")
        self.pushes = counter("relayer_followed_changes_total", "Changed answers of questions that callers follow")
        self.answers = counter(
            "relayer_answers_total", "Answers to questions asked on a chain, by outcome", ["chain", "outcome"]
        )
        self.answers_together = counter(
            "relayer_answers_together_total", "Answers that shared a transaction", ["chain"]
        )
        self.open_questions = gauge("relayer_open_questions", "Questions of a chain that have not ended", ["chain"])
        self.questions = counter(
            "relayer_questions_total", "Questions of a chain that have ended, by how", ["chain", "phase"]
        )
        self.client_trust_s = gauge(
            "relayer_light_client_trust_seconds",
            "Until a light client of ours on this chain is of no more use unless a header is proven to it",
            ["chain"],
        )
        self.client_trust_share = gauge(
            "relayer_light_client_trust_share", "The same as a share of the client's trusting period", ["chain"]
        )
        self.header_updates = counter(
            "relayer_header_updates_total", "Transactions that bring a light client forward, by why", ["chain", "cause"]
        )
        self.header_spent = gauge(
            "relayer_header_spent_wei", "The most that they may have cost in the last 24 hours", ["chain"]
        )
        self.leads = gauge("relayer_leads", "1 while this process works, 0 while it stands by for another")
        self.facts_set_aside = gauge("relayer_facts_set_aside", "Facts that a swap could not take in, kept for it")
        self.deliveries = gauge("relayer_deliveries", "What is sent to others, by how it stands", ["queue", "status"])
        self.facts_position = gauge("relayer_facts_position", "The last fact that the swaps have taken in")
