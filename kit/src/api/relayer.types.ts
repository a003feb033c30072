/** Made by `python -m tests.kit.documents` from the OpenAPI document of a relayer's API. Do not edit. */

export interface paths {
    readonly "/v1/relayer": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Who answers here */
        readonly get: operations["get_v1_relayer"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/chains": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** The chains */
        readonly get: operations["get_v1_chains"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/pairs": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** What is traded */
        readonly get: operations["get_v1_pairs"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/exposure": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** What is promised, and what may still be */
        readonly get: operations["get_v1_exposure"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/quotes": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Ask for a price */
        readonly post: operations["post_v1_quotes"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/swaps": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Swaps, newest first */
        readonly get: operations["get_v1_swaps"];
        readonly put?: never;
        /**
         * Agree on a swap
         * @description Idempotent: the same call again answers the same swap. Check every term before you lock. With a `proof` by an account that holds what it gives, the relayer keeps its part for it: see `reserved`.
         */
        readonly post: operations["post_v1_swaps"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/swaps/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** One swap */
        readonly get: operations["get_v1_swaps_id"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/swaps/{id}/early-refund": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * Have the initiator's lock given back before its timelock
         * @description Once the swap has come to nothing: the relayer's own lock was never signed, is finally refunded, or can never be mined. Without it anybody can send the refund from the timelock on. Idempotent.
         */
        readonly post: operations["post_v1_swaps_id_early_refund"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/swaps/{id}/transactions": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * An unsigned transaction for any wallet
         * @description A lock, a claim, a refund, or a refund before the timelock by the lock's receiver. Nothing is sent and nothing changes. Never give the relayer a secret preimage: put it in yourself, at `preimage_at`.
         */
        readonly post: operations["post_v1_swaps_id_transactions"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/watches": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * Have a swap of two other parties watched
         * @description The watchtower claims for the participant once the preimage is public, and refunds after timelocks. It needs no key and learns no secret. Idempotent.
         */
        readonly post: operations["post_v1_watches"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/events": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Swaps as they change (server-sent events)
         * @description Each event `swap` has a swap as its data. With `Last-Event-ID` what has changed since comes first, or an event `reset`.
         */
        readonly get: operations["get_v1_events"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/ws": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Swaps as they change (WebSocket) */
        readonly get: operations["get_v1_ws"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/challenges": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Ask for a challenge that an account signs */
        readonly post: operations["post_v1_challenges"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/restore": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * All swaps of an account, for its holder
         * @description For a client that has lost its files: what is locked can be refunded from here.
         */
        readonly post: operations["post_v1_restore"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/queries": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * Ask chains, and get answers that prove themselves
         * @description Answered as of one height per chain. Verify each evidence with an anchor of your own (`causeway verify`): the relayer need not be believed. With `Prefer: respond-async`, or if a height cannot be proven yet, the answer is 202 and the query stays open for `open_s`.
         */
        readonly post: operations["post_v1_queries"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/queries/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** A query and its answers so far */
        readonly get: operations["get_v1_queries_id"];
        readonly put?: never;
        readonly post?: never;
        /**
         * Want no answer any more
         * @description The query goes with its answers, for everybody who asked the same as the same caller.
         */
        readonly delete: operations["delete_v1_queries_id"];
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/queries/{id}/events": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * The answers of a query as they come (server-sent events)
         * @description An event `answer` for each question, `end` at last. With `Last-Event-ID` it goes on there.
         */
        readonly get: operations["get_v1_queries_id_events"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/subscriptions": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * Follow questions: evidence whenever an answer changes
         * @description By the subscription's events, the WebSocket, and a webhook if the operator lets callers have one. Verify each evidence with an anchor of your own.
         */
        readonly post: operations["post_v1_subscriptions"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/subscriptions/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** A subscription and the newest answers */
        readonly get: operations["get_v1_subscriptions_id"];
        readonly put?: never;
        readonly post?: never;
        /** Follow no longer */
        readonly delete: operations["delete_v1_subscriptions_id"];
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/subscriptions/{id}/events": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * Answers as they change (server-sent events)
         * @description An event `answer` for each change, `end` at last. With `Last-Event-ID` it goes on there.
         */
        readonly get: operations["get_v1_subscriptions_id_events"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/swaps/{id}/webhooks": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * Have changes of a swap posted to an address
         * @description By the account that locks on the initiator's leg, if the operator lets openers do so.
         */
        readonly post: operations["post_v1_swaps_id_webhooks"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/webhooks/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /**
         * What was posted to a webhook
         * @description With `Authorization: Bearer` and the webhook's secret.
         */
        readonly get: operations["get_v1_webhooks_id"];
        readonly put?: never;
        readonly post?: never;
        /**
         * Remove a webhook
         * @description With `Authorization: Bearer` and the webhook's secret. What waits is not posted any more.
         */
        readonly delete: operations["delete_v1_webhooks_id"];
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * QuoteCall
         * @description Ask for a price: exactly one of the two amounts. With `pair_hash` (of `/v1/pairs`) a pair that has changed since
         *         is refused. `initiator_sender` and `initiator_receiver`: your accounts, so that a relayer that makes no swap with
         *         them says so now and not at the opening.
         */
        readonly QuoteCall: {
            /** @description CAIP-19, such as eip155:31337/slip44:60. */
            readonly initiator_asset: string;
            /** @description CAIP-19, such as eip155:31337/slip44:60. */
            readonly participant_asset: string;
            readonly initiator_amount?: string | null;
            readonly participant_amount?: string | null;
            readonly pair_hash?: string | null;
            readonly initiator_sender?: string | null;
            readonly initiator_receiver?: string | null;
        };
        /**
         * SwapCall
         * @description Agree on a swap: the quote as it was given, the hashlock (SHA-256 of the initiator's 32-byte preimage), the
         *         account that locks on the initiator's chain, and the one that is paid on the participant's. With `proof`, and the
         *         funds on that account, the relayer keeps its part for the lock; without, nothing is kept before it is final.
         */
        readonly SwapCall: {
            readonly quote: components["schemas"]["GivenQuote"];
            /** @description 32 bytes. */
            readonly hashlock: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly initiator_sender: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly initiator_receiver: string;
            readonly proof?: string | null;
        };
        /**
         * GivenQuote
         * @description A quote as a caller gives it back.
         */
        readonly GivenQuote: {
            /** @description A quote's id, 16 bytes. */
            readonly id: string;
            /** @description CAIP-19, such as eip155:31337/slip44:60. */
            readonly initiator_asset: string;
            /** @description Base units, a positive decimal number below 2^256. */
            readonly initiator_amount: string;
            /** @description CAIP-19, such as eip155:31337/slip44:60. */
            readonly participant_asset: string;
            /** @description Base units, a positive decimal number below 2^256. */
            readonly participant_amount: string;
            readonly rate: components["schemas"]["GivenRate"];
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly participant_receiver: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly participant_sender: string;
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly initiator_lock_s: number;
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly participant_lock_s: number;
            /**
             * Format: int64
             * @description A time in Unix seconds.
             */
            readonly issued_at: number;
            /**
             * Format: int64
             * @description A time in Unix seconds.
             */
            readonly expires_at: number;
            /** @description 32 bytes. */
            readonly key: string;
            /** @description 64 bytes. */
            readonly signature: string;
        };
        /**
         * GivenRate
         * @description A rate in a quote that a caller gives back.
         */
        readonly GivenRate: {
            /** @description Base units, a positive decimal number below 2^256. */
            readonly numerator: string;
            /** @description Base units, a positive decimal number below 2^256. */
            readonly denominator: string;
        };
        /**
         * TransactionCall
         * @description Which transaction of a swap. `leg` is the usual one if it is left out: the initiator's for `lock` and `refund`,
         *         the participant's for `claim` and `early-refund`. `sender` pays for it: anybody may send a claim or a refund. On
         *         the consortium chain `public_key` is the sender's ed25519 key.
         */
        readonly TransactionCall: {
            /** @enum {unknown} */
            readonly act: "claim" | "early-refund" | "lock" | "refund";
            readonly leg?: components["schemas"]["Leg"] | null;
            readonly sender?: string | null;
            readonly public_key?: string | null;
        };
        /**
         * Leg
         * @description Whose lock: the initiator's on chain A, or the participant's on chain B.
         * @enum {unknown}
         */
        readonly Leg: "initiator" | "participant";
        /**
         * WatchCall
         * @description Both legs of a swap between two other parties, exactly as they agreed on them.
         */
        readonly WatchCall: {
            readonly initiator: components["schemas"]["GivenTerms"];
            readonly participant: components["schemas"]["GivenTerms"];
        };
        /**
         * GivenTerms
         * @description One leg's terms as a caller gives them.
         */
        readonly GivenTerms: {
            /** @description CAIP-2, such as eip155:31337. */
            readonly chain: string;
            /** @description CAIP-19, such as eip155:31337/slip44:60. */
            readonly asset: string;
            /** @description Base units, a positive decimal number below 2^256. */
            readonly amount: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly sender: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly receiver: string;
            /** @description 32 bytes. */
            readonly hashlock: string;
            /**
             * Format: int64
             * @description A time in Unix seconds.
             */
            readonly timelock: number;
        };
        /**
         * ChallengeCall
         * @description The account whose holder asks.
         */
        readonly ChallengeCall: {
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly account: string;
        };
        /**
         * RestoreCall
         * @description The challenge with the account's proof over it, for the account's swaps.
         */
        readonly RestoreCall: {
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly account: string;
            /** @description 32 bytes. */
            readonly challenge: string;
            /** @description The signature of initiator_sender over the opening, by its chain's rules (docs/dapps/api.md). */
            readonly proof: string;
        };
        /**
         * QueriesCall
         * @description Questions, answered as of one height per chain.
         *
         *         `trusted_height` is that of your anchor: the evidence begins there; left out, at the relayer's own. `wait_s`: how
         *         long to wait for a height that cannot be proven yet. `open_s`: how long the query stays open if there is still one.
         */
        readonly QueriesCall: {
            readonly questions: readonly string[];
            readonly trusted_height?: number | null;
            /** @default 0 */
            readonly wait_s: number;
            /** @default 600 */
            readonly open_s: number;
        };
        /**
         * SubscriptionCall
         * @description Questions whose answers are pushed whenever they change, at most every `every_s` seconds, for `lasts_s`.
         *
         *         `trusted_height` is that of your anchor: the evidence begins there; left out, at the relayer's own. `url`: a
         *         webhook, next to the streams.
         */
        readonly SubscriptionCall: {
            readonly questions: readonly string[];
            readonly trusted_height?: number | null;
            /** @default 1 */
            readonly every_s: number;
            /** @default 86400 */
            readonly lasts_s: number;
            readonly url?: string | null;
        };
        /**
         * WebhookCall
         * @description The address that hears of the swap, and the proof of the account that locks on its initiator's leg.
         */
        readonly WebhookCall: {
            readonly url: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly account: string;
            /** @description 32 bytes. */
            readonly challenge: string;
            /** @description The signature of initiator_sender over the opening, by its chain's rules (docs/dapps/api.md). */
            readonly proof: string;
        };
        /**
         * RelayerBody
         * @description Who answers here. `quote_key` is the ed25519 public key that its quotes are signed with: pin it.
         */
        readonly RelayerBody: {
            readonly name: string;
            readonly version: string;
            /** @description 32 bytes. */
            readonly quote_key: string;
            readonly watchtower: boolean;
        };
        /**
         * ChainBody
         * @description A chain as the relayer sees it. `head`, `finalized` and `lag_s` (how old the head is, by the relayer's clock) are
         *         null while it is not `reachable`. `htlc_holder` is the contract that keeps locks, null if the ledger does;
         *         `htlc_code_hash` the code hash that an honest one has.
         */
        readonly ChainBody: {
            /** @description CAIP-2, such as eip155:31337. */
            readonly id: string;
            readonly genesis_hash: string;
            readonly reachable: boolean;
            readonly head: components["schemas"]["BlockBody"] | null;
            readonly finalized: components["schemas"]["BlockBody"] | null;
            readonly lag_s: number | null;
            readonly timing: components["schemas"]["TimingBody"];
            readonly htlc_holder: string | null;
            readonly htlc_code_hash: string;
            readonly assets: readonly components["schemas"]["AssetBody"][];
        };
        /**
         * BlockBody
         * @description One block. `time` is the one in its header.
         */
        readonly BlockBody: {
            /**
             * Format: int64
             * @description A block.
             */
            readonly height: number;
            readonly hash: string;
            /**
             * Format: int64
             * @description A time in Unix seconds.
             */
            readonly time: number;
        };
        /**
         * TimingBody
         * @description The allowances behind timelocks, in seconds: worst inclusion, finality, observation, and how far the chain's
         *         time may run ahead of or behind true time.
         */
        readonly TimingBody: {
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly block_time_s: number;
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly inclusion_s: number;
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly finality_s: number;
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly observation_s: number;
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly lead_s: number;
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly lag_s: number;
        };
        /**
         * AssetBody
         * @description `decimals` shifts base units to the asset's own unit.
         */
        readonly AssetBody: {
            /** @description CAIP-19, such as eip155:31337/slip44:60. */
            readonly id: string;
            readonly symbol: string;
            readonly decimals: number;
        };
        /**
         * PairBody
         * @description One direction that is traded: the initiator locks `initiator`, the relayer answers with `participant`. `rate` is
         *         before `fee` (base units of `participant`, for each swap) and before the premium that a quote takes off for the time
         *         of its lock. `hash` changes with anything of it but `pause`, which is null while the pair is offered.
         */
        readonly PairBody: {
            readonly id: string;
            /** @description 32 bytes. */
            readonly hash: string;
            /** @description CAIP-2, such as eip155:31337. */
            readonly initiator_chain: string;
            readonly initiator: components["schemas"]["AssetBody"];
            /** @description CAIP-2, such as eip155:31337. */
            readonly participant_chain: string;
            readonly participant: components["schemas"]["AssetBody"];
            readonly rate: components["schemas"]["RateBody"];
            readonly limits: components["schemas"]["LimitsBody"];
            /** @description Base units, a decimal number below 2^256. */
            readonly fee: string;
            readonly pause: components["schemas"]["PauseBody"] | null;
        };
        /**
         * RateBody
         * @description Participant base units per initiator base unit, as a fraction.
         */
        readonly RateBody: {
            /** @description Base units, a positive decimal number below 2^256. */
            readonly numerator: string;
            /** @description Base units, a positive decimal number below 2^256. */
            readonly denominator: string;
        };
        /**
         * LimitsBody
         * @description Bounds of the initiator's amount, inclusive.
         */
        readonly LimitsBody: {
            /** @description Base units, a positive decimal number below 2^256. */
            readonly minimum: string;
            /** @description Base units, a positive decimal number below 2^256. */
            readonly maximum: string;
        };
        /**
         * PauseBody
         * @description Why a pair is not offered now. `cause` is a word, `reason` a sentence; `until` (Unix seconds) is null if nobody
         *         knows.
         */
        readonly PauseBody: {
            readonly cause: components["schemas"]["Cause"];
            readonly reason: string;
            readonly until: number | null;
        };
        /**
         * Cause
         * @description Why a switch is set.
         * @enum {unknown}
         */
        readonly Cause: "clock-skew" | "deep-reorg" | "drain" | "finality-stall" | "low-gas" | "operator" | "quorum-lost";
        /**
         * ExposureBody
         * @description One asset that the relayer pays out: `promised` to open swaps now, `locked` the part of it that is on chain
         *         already, `swaps` their number. `limits` and `left` are null if the inventory alone bounds it; `left` is what may
         *         still be promised in all. Who the counterparties are is not shown.
         */
        readonly ExposureBody: {
            /** @description CAIP-2, such as eip155:31337. */
            readonly chain: string;
            readonly asset: components["schemas"]["AssetBody"];
            /** @description Base units, a decimal number below 2^256. */
            readonly promised: string;
            /** @description Base units, a decimal number below 2^256. */
            readonly locked: string;
            readonly swaps: number;
            readonly limits: components["schemas"]["ExposureLimitsBody"] | null;
            readonly left: string | null;
        };
        /**
         * ExposureLimitsBody
         * @description The most of one asset that open swaps may be promised: in all, to one counterparty, and in swaps whose timelocks
         *         fall into one window (`window_s`, seconds).
         */
        readonly ExposureLimitsBody: {
            /** @description Base units, a decimal number below 2^256. */
            readonly total: string;
            /** @description Base units, a decimal number below 2^256. */
            readonly per_counterparty: string;
            /** @description Base units, a decimal number below 2^256. */
            readonly per_window: string;
            readonly window_s: number;
        };
        /**
         * QuoteBody
         * @description A signed, expiring price. The relayer is paid at `participant_receiver` and locks from `participant_sender`.
         *
         *         The swap's timelocks will lie about `initiator_lock_s` and `participant_lock_s` seconds ahead of its opening.
         *         `signature` is ed25519 by `key` over the canonical form of the other fields that are there today
         *         (docs/dapps/api.md).
         */
        readonly QuoteBody: {
            /** @description A quote's id, 16 bytes. */
            readonly id: string;
            /** @description CAIP-19, such as eip155:31337/slip44:60. */
            readonly initiator_asset: string;
            /** @description Base units, a positive decimal number below 2^256. */
            readonly initiator_amount: string;
            /** @description CAIP-19, such as eip155:31337/slip44:60. */
            readonly participant_asset: string;
            /** @description Base units, a positive decimal number below 2^256. */
            readonly participant_amount: string;
            readonly rate: components["schemas"]["RateBody"];
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly participant_receiver: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly participant_sender: string;
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly initiator_lock_s: number;
            /**
             * Format: int64
             * @description A duration in seconds.
             */
            readonly participant_lock_s: number;
            /**
             * Format: int64
             * @description A time in Unix seconds.
             */
            readonly issued_at: number;
            /**
             * Format: int64
             * @description A time in Unix seconds.
             */
            readonly expires_at: number;
            /** @description 32 bytes. */
            readonly key: string;
            /** @description 64 bytes. */
            readonly signature: string;
        };
        /**
         * SwapBody
         * @description A swap as the relayer's state machine has it. `done`: nothing will follow. `preimage` is null until a chain has
         *         shown it. The initiator locks before `lock_deadline` or not at all. `version` grows with every change. `reserved`:
         *         the relayer keeps its part of this swap now; `reservation` says in a sentence until when, or why not.
         *         `expected_at`: about when it is done if everybody acts at once, null once it is; an estimate.
         */
        readonly SwapBody: {
            /** @description A swap's id, 16 bytes. */
            readonly id: string;
            readonly quote_id: string | null;
            readonly role: components["schemas"]["Role"];
            /** @description 32 bytes. */
            readonly hashlock: string;
            readonly phase: components["schemas"]["Phase"];
            readonly done: boolean;
            readonly reason_code: string | null;
            readonly reason: string | null;
            readonly initiator: components["schemas"]["LegBody"];
            readonly participant: components["schemas"]["LegBody"];
            readonly preimage: string | null;
            /**
             * Format: int64
             * @description A time in Unix seconds.
             */
            readonly lock_deadline: number;
            /** @description A time in Unix seconds, with fractions. */
            readonly created_at: number;
            /** @description A time in Unix seconds, with fractions. */
            readonly updated_at: number;
            /** Format: int64 */
            readonly version: number;
            readonly reserved: boolean;
            readonly reservation: string | null;
            readonly expected_at: number | null;
        };
        /**
         * Role
         * @description Whose machine this is. The liquidity provider is the participant; a watchtower acts for both, and never funds.
         * @enum {unknown}
         */
        readonly Role: "initiator" | "liquidity-provider" | "watchtower";
        /**
         * Phase
         * @description The commitments that we have.
         *
         *         AGREED            no lock of this swap is known, and we have signed nothing
         *         FUNDING           our own lock was asked for: from here on it may exist
         *         INITIATOR_LOCKED  the initiator's lock is on its chain, the participant's is not
         *         VERIFYING         the counterparty's lock is final; we make sure of it before we fund or reveal
         *         BOTH_LOCKED       the participant's lock is on chain too; the preimage is not public
         *         CLAIMING          the preimage is public, or has to be taken for public: claim until it is settled
         *         REFUNDING         a timelock of ours has passed without a claim: take it back
         *         COMPLETED         finally claimed, as agreed
         *         REFUNDED          finally refunded: nobody got anything, nobody lost anything
         *         ABANDONED         ended before we locked anything; a watched swap: nobody locked, or too many of its exits failed
         *         LOST              one leg is finally claimed, the other finally not: somebody missed the time
         * @enum {unknown}
         */
        readonly Phase: "abandoned" | "agreed" | "both-locked" | "claiming" | "completed" | "funding" | "initiator-locked" | "lost" | "refunded" | "refunding" | "verifying";
        /**
         * LegBody
         * @description One leg as the relayer knows it. Believe the chain, not this: `holder`, `lock_id` and `terms` are what to ask it
         *         about.
         */
        readonly LegBody: {
            readonly terms: components["schemas"]["TermsBody"];
            readonly holder: string | null;
            readonly status: components["schemas"]["LegStatus"];
            readonly lock_id: string | null;
            readonly lock: components["schemas"]["PlaceBody"] | null;
            readonly settle: components["schemas"]["PlaceBody"] | null;
        };
        /**
         * TermsBody
         * @description Everything that one leg commits to. A claim is valid strictly before `timelock`, a refund from then on, both by
         *         the time of `chain`.
         */
        readonly TermsBody: {
            /** @description CAIP-2, such as eip155:31337. */
            readonly chain: string;
            /** @description CAIP-19, such as eip155:31337/slip44:60. */
            readonly asset: string;
            /** @description Base units, a positive decimal number below 2^256. */
            readonly amount: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly sender: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly receiver: string;
            /** @description 32 bytes. */
            readonly hashlock: string;
            /**
             * Format: int64
             * @description A time in Unix seconds.
             */
            readonly timelock: number;
        };
        /**
         * LegStatus
         * @enum {unknown}
         */
        readonly LegStatus: "absent" | "claimed" | "locked" | "refunded";
        /**
         * PlaceBody
         * @description The block and transaction of a lock, a claim or a refund on its chain. `confirmations` are the blocks on top,
         *         inclusive, null if the relayer knows no head of the chain; `final` is by the chain's own rule.
         */
        readonly PlaceBody: {
            /**
             * Format: int64
             * @description A block.
             */
            readonly height: number;
            readonly block_hash: string;
            readonly tx_hash: string;
            readonly final: boolean;
            readonly confirmations: number | null;
        };
        /**
         * WalletTransactionBody
         * @description One transaction, unsigned. `act` is what was asked for, or `approve`, which lets the contract take a token and
         *         comes before a lock: ask again once it is included. It can succeed from `valid_from` on and before `valid_before`,
         *         by the time of `chain`. `preimage_at` is where the 32 bytes of a secret preimage go, counted in bytes from the start
         *         of `evm.data`, `ledger.sign_bytes` or `other`, null if nothing is missing. One of `evm`, `ledger` and `other` (the
         *         chain's own encoding) is there.
         */
        readonly WalletTransactionBody: {
            /** @enum {unknown} */
            readonly act: "approve" | "claim" | "early-refund" | "lock" | "refund";
            readonly leg: components["schemas"]["Leg"];
            /** @description CAIP-2, such as eip155:31337. */
            readonly chain: string;
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly sender: string;
            /** @description A lock's id on its chain. */
            readonly lock_id: string;
            readonly summary: string;
            readonly valid_from: number | null;
            readonly valid_before: number | null;
            readonly preimage_at: number | null;
            readonly evm: components["schemas"]["EvmCallBody"] | null;
            readonly ledger: components["schemas"]["LedgerTransactionBody"] | null;
            readonly other: string | null;
        };
        /**
         * EvmCallBody
         * @description A transaction as `eth_sendTransaction` takes it; the wallet adds nonce and fees. Quantities are hex.
         */
        readonly EvmCallBody: {
            /** @description A number in hex. */
            readonly chainId: string;
            /** @description 20 bytes. */
            readonly from: string;
            /** @description 20 bytes. */
            readonly to: string;
            /** @description A number in hex. */
            readonly value: string;
            /** @description Bytes. */
            readonly data: string;
            /** @description A number in hex. */
            readonly gas: string;
            readonly accessList: readonly components["schemas"]["AccessBody"][];
        };
        /**
         * AccessBody
         * @description One entry of an EIP-2930 access list.
         */
        readonly AccessBody: {
            /** @description 20 bytes. */
            readonly address: string;
            readonly storageKeys: readonly string[];
        };
        /**
         * LedgerTransactionBody
         * @description A transaction of the consortium chain. The account's ed25519 key signs `sign_bytes`; what is broadcast is
         *         `92 ‖ body ‖ c440 ‖ signature` (docs/dapps/api.md), to be included up to `expiry_height`.
         */
        readonly LedgerTransactionBody: {
            /** Format: int64 */
            readonly sequence: number;
            /**
             * Format: int64
             * @description A block.
             */
            readonly expiry_height: number;
            /** @description Bytes. */
            readonly sign_bytes: string;
            /** @description Bytes. */
            readonly body: string;
        };
        /**
         * ChallengeBody
         * @description The statement that the account signs, good once and before `expires_at`: `typed_data` is for
         *         `eth_signTypedData_v4` (null on other chains), `message` the bytes that a key signs for the same.
         */
        readonly ChallengeBody: {
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly account: string;
            /** @description 32 bytes. */
            readonly challenge: string;
            /**
             * Format: int64
             * @description A time in Unix seconds.
             */
            readonly expires_at: number;
            /** @description Bytes. */
            readonly message: string;
            readonly typed_data: Record<string, never> | null;
        };
        /**
         * RestoredBody
         * @description All swaps of an account, the newest first. `more`: older ones are left out, ask /v1/swaps for them.
         */
        readonly RestoredBody: {
            /** @description CAIP-10, such as eip155:31337:0xab…. */
            readonly account: string;
            readonly swaps: readonly components["schemas"]["SwapBody"][];
            readonly more: boolean;
        };
        /**
         * QueriesBody
         * @description One answer for each question, in their order.
         */
        readonly QueriesBody: {
            readonly answers: readonly components["schemas"]["AnsweredBody"][];
        };
        /**
         * AnsweredBody
         * @description The question in its canonical form, and its evidence; or null, with the kind of problem and a sentence.
         *
         *         The evidence is a file as `causeway verify` reads it (docs/concepts/proofs.md): keep its bytes as they are.
         */
        readonly AnsweredBody: {
            /** @description A question, such as causeway:devnet-1/records/charity/donation-17 (docs/concepts/questions.md). */
            readonly uri: string;
            readonly evidence: unknown;
            readonly problem: string | null;
            readonly detail: string | null;
        };
        /**
         * QueryBody
         * @description A query that takes its time, and the answers so far.
         *
         *         While it is `waiting`, an answer without evidence may still come; then `answered`: each question has evidence;
         *         `expired`: the deadline (Unix seconds) passed before one had; `refused`: one cannot be proven. `version` grows with
         *         each question that is answered or ends.
         */
        readonly QueryBody: {
            readonly id: string;
            readonly state: components["schemas"]["Standing"];
            readonly version: number;
            readonly created_at: number;
            readonly deadline: number;
            readonly answers: readonly components["schemas"]["AnsweredBody"][];
        };
        /**
         * Standing
         * @description How a query stands, or one question of it.
         *
         *         WAITING   nothing that answers can be proven yet
         *         ANSWERED  the evidence is there
         *         EXPIRED   the deadline passed before
         *         REFUSED   it cannot be proven
         * @enum {unknown}
         */
        readonly Standing: "answered" | "expired" | "refused" | "waiting";
        /**
         * SubscriptionBody
         * @description A subscription and the newest answers. `reason` says why it has ended, null while it is open.
         *
         *         `secret` signs what is posted to `url`; it is shown once, when the subscription is made.
         */
        readonly SubscriptionBody: {
            readonly id: string;
            readonly created_at: number;
            readonly until: number;
            readonly every_s: number;
            readonly url: string | null;
            readonly secret: string | null;
            readonly reason: string | null;
            readonly answers: readonly components["schemas"]["PushBody"][];
        };
        /**
         * PushBody
         * @description The newest answer to the question at `place`, counted from 0: evidence, or the reason why there is none now.
         *
         *         `version` grows with each change of any answer; 0: there was none yet.
         */
        readonly PushBody: {
            readonly subscription: string;
            readonly place: number;
            readonly version: number;
            /** @description A question, such as causeway:devnet-1/records/charity/donation-17 (docs/concepts/questions.md). */
            readonly uri: string;
            readonly evidence: unknown;
            readonly problem: string | null;
            readonly detail: string | null;
        };
        /**
         * WebhookBody
         * @description A registered webhook. `secret` is shown once: it signs what is posted, and opens the log.
         */
        readonly WebhookBody: {
            readonly id: string;
            /** @description A swap's id, 16 bytes. */
            readonly swap_id: string;
            readonly url: string;
            readonly secret: string;
        };
        /**
         * WebhookLogBody
         * @description A webhook with its newest messages, the newest first, at most 50.
         */
        readonly WebhookLogBody: {
            readonly id: string;
            /** @description A swap's id, 16 bytes. */
            readonly swap_id: string;
            readonly url: string;
            /** @description A time in Unix seconds, with fractions. */
            readonly created_at: number;
            readonly messages: readonly components["schemas"]["MessageBody"][];
        };
        /**
         * MessageBody
         * @description One message of a webhook: how often it was tried, when it is next, and why the last try failed.
         */
        readonly MessageBody: {
            readonly id: string;
            readonly body: string;
            readonly status: components["schemas"]["DeliveryStatus"];
            /** Format: int64 */
            readonly attempts: number;
            readonly next_at: number | null;
            readonly reason: string | null;
        };
        /**
         * DeliveryStatus
         * @description `REFUSED`: the destination does not want it, ever. `GIVEN_UP`: it was tried for as long as it was worth.
         * @enum {unknown}
         */
        readonly DeliveryStatus: "given-up" | "pending" | "refused" | "taken";
        /**
         * Health
         * @description `details` says of each part how it is: an operator's first look.
         */
        readonly Health: {
            readonly ok: boolean;
            readonly details: Record<string, never>;
        };
        /** @description An RFC 9457 problem document. */
        readonly Problem: {
            /**
             * Format: uri
             * @description Names the kind of problem; stable.
             */
            readonly type: string;
            readonly title: string;
            readonly status: number;
            /** @description What happened and what to do about it. */
            readonly detail: string;
            /** @description Stands in the service's log, too. */
            readonly request_id: string;
            /** @description Seconds to wait before the same call. */
            readonly retry_after_s?: number;
            /** @description The newest block of each chain that the refusal rests on, as the parameter `as_of` has it. */
            readonly as_of?: string;
            /** @description The label version that the refusal rests on. */
            readonly labels?: number;
            /** @description Which parts of the request are wrong. */
            readonly errors?: readonly {
                /** @description A JSON pointer (RFC 6901) as a URI fragment. */
                readonly pointer: string;
                readonly detail: string;
            }[];
        } & {
            readonly [key: string]: unknown;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    readonly get_v1_relayer: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["RelayerBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_chains: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": readonly components["schemas"]["ChainBody"][];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_pairs: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": readonly components["schemas"]["PairBody"][];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_exposure: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": readonly components["schemas"]["ExposureBody"][];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_quotes: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["QuoteCall"];
            };
        };
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["QuoteBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_swaps: {
        readonly parameters: {
            readonly query?: {
                readonly id?: readonly string[];
                readonly done?: boolean;
                readonly phase?: components["schemas"]["Phase"];
                /** @description 32 bytes. */
                readonly hashlock?: string;
                /** @description CAIP-10, such as eip155:31337:0xab…. */
                readonly account?: string;
                /** @description A swap's id, 16 bytes. */
                readonly before?: string;
                readonly limit?: number;
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": readonly components["schemas"]["SwapBody"][];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_swaps: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["SwapCall"];
            };
        };
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SwapBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_swaps_id: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SwapBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_swaps_id_early_refund: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
            };
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SwapBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_swaps_id_transactions: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
            };
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["TransactionCall"];
            };
        };
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["WalletTransactionBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_watches: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["WatchCall"];
            };
        };
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SwapBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_events: {
        readonly parameters: {
            readonly query: {
                readonly swap: readonly string[];
            };
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "text/event-stream": string;
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_ws: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Switching Protocols */
            readonly 101: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_challenges: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["ChallengeCall"];
            };
        };
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["ChallengeBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_restore: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["RestoreCall"];
            };
        };
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["RestoredBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_queries: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
                /** @description `respond-async`: answer 202 at once, or after `wait=` seconds (RFC 7240). */
                readonly Prefer?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["QueriesCall"];
            };
        };
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["QueriesBody"];
                };
            };
            /** @description Accepted */
            readonly 202: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    /** @description The path at which to look for what becomes of it. */
                    readonly Location?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["QueryBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_queries_id: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["QueryBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly delete_v1_queries_id: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["QueryBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_queries_id_events: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "text/event-stream": string;
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_subscriptions: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["SubscriptionCall"];
            };
        };
        readonly responses: {
            /** @description Created */
            readonly 201: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SubscriptionBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_subscriptions_id: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SubscriptionBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly delete_v1_subscriptions_id: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["SubscriptionBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_subscriptions_id_events: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "text/event-stream": string;
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly post_v1_swaps_id_webhooks: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description The same call under the same key is answered as the first time, for a day; a UUID. */
                readonly "Idempotency-Key"?: string;
            };
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["WebhookCall"];
            };
        };
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["WebhookBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly get_v1_webhooks_id: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["WebhookLogBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readonly delete_v1_webhooks_id: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description OK */
            readonly 200: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["WebhookLogBody"];
                };
            };
            /** @description A refusal. */
            readonly default: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
