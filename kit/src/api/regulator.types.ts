/** Made by `python -m tests.kit.documents` from the OpenAPI document of the supervision API. Do not edit. */

export interface paths {
    readonly "/v1/chains": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Chains: head, finalized, lag */
        readonly get: operations["get_v1_chains"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/swaps/{id}/evidence": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Proofs of both legs */
        readonly get: operations["get_v1_swaps_id_evidence"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/assets": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Assets, by id */
        readonly get: operations["get_v1_assets"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/contracts": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Contracts that events came from, by account */
        readonly get: operations["get_v1_contracts"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/assets/{asset}/conservation": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Whether what was locked adds up */
        readonly get: operations["get_v1_assets_asset_conservation"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/summary": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Everything at a glance */
        readonly get: operations["get_v1_summary"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/agreements": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Report agreed terms */
        readonly post: operations["post_v1_agreements"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/audit": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Who read what */
        readonly get: operations["get_v1_audit"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/lists": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Label versions, newest first */
        readonly get: operations["get_v1_lists"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/lists/{version}/changes": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** The tags that a label version changed */
        readonly get: operations["get_v1_lists_version_changes"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/tags": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Tags, by account */
        readonly get: operations["get_v1_tags"];
        readonly put?: never;
        /** State a tag */
        readonly post: operations["post_v1_tags"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/entities": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Entities, by id */
        readonly get: operations["get_v1_entities"];
        readonly put?: never;
        /** State an entity's record */
        readonly post: operations["post_v1_entities"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/entities/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** One entity and its accounts */
        readonly get: operations["get_v1_entities_id"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/alerts": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Alerts */
        readonly get: operations["get_v1_alerts"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/alerts/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** One alert */
        readonly get: operations["get_v1_alerts_id"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/alerts/{id}/bundle": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** An alert to run again */
        readonly get: operations["get_v1_alerts_id_bundle"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/rules": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Rules and their versions */
        readonly get: operations["get_v1_rules"];
        readonly put?: never;
        /** Propose a rule */
        readonly post: operations["post_v1_rules"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/rules/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** One rule */
        readonly get: operations["get_v1_rules_id"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/rules/{id}/dry-run": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Try a rule on the past */
        readonly post: operations["post_v1_rules_id_dry_run"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/rules/{id}/activate": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Put a rule in force */
        readonly post: operations["post_v1_rules_id_activate"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/rules/{id}/reject": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Reject a rule */
        readonly post: operations["post_v1_rules_id_reject"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/rates": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** What assets are worth */
        readonly get: operations["get_v1_rates"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/cases": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Cases */
        readonly get: operations["get_v1_cases"];
        readonly put?: never;
        /** Open a case */
        readonly post: operations["post_v1_cases"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/cases/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** One case */
        readonly get: operations["get_v1_cases_id"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/cases/{id}/export": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** A case as a file */
        readonly get: operations["get_v1_cases_id_export"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/cases/{id}/notes": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Add a note */
        readonly post: operations["post_v1_cases_id_notes"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/cases/{id}/assign": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Assign a case */
        readonly post: operations["post_v1_cases_id_assign"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/cases/{id}/attach": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Attach */
        readonly post: operations["post_v1_cases_id_attach"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/cases/{id}/close": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Propose to close a case, or close it */
        readonly post: operations["post_v1_cases_id_close"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/cases/{id}/reopen": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Reopen a case */
        readonly post: operations["post_v1_cases_id_reopen"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/orders": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Orders, newest first */
        readonly get: operations["get_v1_orders"];
        readonly put?: never;
        /** Draft the first half of an order */
        readonly post: operations["post_v1_orders"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/orders/{number}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** One order, with who signed what */
        readonly get: operations["get_v1_orders_number"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/holds/{account}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Whether an account is held */
        readonly get: operations["get_v1_holds_account"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/holds/{account}/history": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** What officers signed about an account */
        readonly get: operations["get_v1_holds_account_history"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/holds/{account}/evidence": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Proof that an account is held, or is not */
        readonly get: operations["get_v1_holds_account_evidence"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/orders/{number}/approval": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Draft the second half of an order or of its lift */
        readonly post: operations["post_v1_orders_number_approval"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/orders/{number}/lift": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Draft the first half of an order's lift */
        readonly post: operations["post_v1_orders_number_lift"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/assets/{asset}/supply": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** An asset's supply */
        readonly get: operations["get_v1_assets_asset_supply"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/assets/{asset}/concentration": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** How an asset is spread */
        readonly get: operations["get_v1_assets_asset_concentration"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/assets/{asset}/series": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** An asset's movements over time */
        readonly get: operations["get_v1_assets_asset_series"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/corridors": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Value between chains */
        readonly get: operations["get_v1_corridors"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/records": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Records, by name */
        readonly get: operations["get_v1_records"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/records/{chain}/{namespace}/{key}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** A record's versions, newest first */
        readonly get: operations["get_v1_records_chain_namespace_key"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/transfers": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Transfers, newest first */
        readonly get: operations["get_v1_transfers"];
        readonly put?: never;
        readonly post?: never;
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
        readonly post?: never;
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
        /** One swap, step by step */
        readonly get: operations["get_v1_swaps_id"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/search": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Anything by its name */
        readonly get: operations["get_v1_search"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/accounts/{account}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** One account */
        readonly get: operations["get_v1_accounts_account"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/accounts/{account}/moves": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** An account's history, newest first */
        readonly get: operations["get_v1_accounts_account_moves"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/accounts/{account}/counterparties": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** With whom an account deals */
        readonly get: operations["get_v1_accounts_account_counterparties"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/entities/{id}/holdings": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** An entity's accounts together */
        readonly get: operations["get_v1_entities_id_holdings"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/activity": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** What happened in a span of time */
        readonly get: operations["get_v1_activity"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/accounts/{account}/evidence": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Proof of a balance */
        readonly get: operations["get_v1_accounts_account_evidence"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/accounts/{account}/locks/evidence": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Proof of all locks that an account made */
        readonly get: operations["get_v1_accounts_account_locks_evidence"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/records/{chain}/{namespace}/{key}/evidence": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Proof of all versions of a record */
        readonly get: operations["get_v1_records_chain_namespace_key_evidence"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/transfers/evidence": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Proof of a log of an Ethereum transaction, or of a ledger's transaction */
        readonly get: operations["get_v1_transfers_evidence"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/exports": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Begin an export */
        readonly post: operations["post_v1_exports"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/exports/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** How far an export is */
        readonly get: operations["get_v1_exports_id"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/exports/{id}/file": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** The file of an export */
        readonly get: operations["get_v1_exports_id_file"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/me": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Who the caller is, and what it may */
        readonly get: operations["get_v1_me"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/travel-rule": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Travel-rule records, newest first, masked */
        readonly get: operations["get_v1_travel_rule"];
        readonly put?: never;
        /** State the identities behind a transfer */
        readonly post: operations["post_v1_travel_rule"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/travel-rule/{id}/identities": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** The identities of one record; X-Purpose and X-Case say why */
        readonly get: operations["get_v1_travel_rule_id_identities"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/traces": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Follow value over hops and chains */
        readonly post: operations["post_v1_traces"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/traces/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** The same trace again */
        readonly get: operations["get_v1_traces_id"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/keys": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** The public keys that answers are signed with */
        readonly get: operations["get_v1_keys"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/stream/events": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Transfers, locks and what becomes of them, as they happen */
        readonly get: operations["get_v1_stream_events"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/stream/swaps": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Swaps as they are proposed, locked, claimed and refunded */
        readonly get: operations["get_v1_stream_swaps"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/v1/stream/alerts": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Alerts, as they change */
        readonly get: operations["get_v1_stream_alerts"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
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
         * AgreementBody
         * @description Terms that two parties agreed on, as a relayer that took part reports them. `source` is what it calls itself.
         */
        readonly AgreementBody: {
            /** @description Printable ASCII, no spaces. */
            readonly swap_id: string;
            /** @description 32 bytes in hex. */
            readonly hashlock: string;
            readonly initiator: components["schemas"]["ReportedTerms"];
            readonly participant: components["schemas"]["ReportedTerms"];
            readonly source?: string | null;
        };
        /**
         * ReportedTerms
         * @description One leg as it was agreed; CAIP-2 chain, CAIP-19 asset and CAIP-10 accounts on it.
         */
        readonly ReportedTerms: {
            /** @description Printable ASCII, no spaces. */
            readonly chain: string;
            /** @description Printable ASCII, no spaces. */
            readonly asset: string;
            /** @description Base units, a decimal integer. */
            readonly amount: string;
            /** @description Printable ASCII, no spaces. */
            readonly sender: string;
            /** @description Printable ASCII, no spaces. */
            readonly receiver: string;
            /** @description Unix seconds of the leg's chain. */
            readonly timelock: number;
        };
        /**
         * TagBody
         * @description A statement of this supervision. One with the same account, category and label replaces it; give `valid_to_s` to
         *         end it.
         */
        readonly TagBody: {
            /** @description Printable ASCII, no spaces. */
            readonly account: string;
            /** @description Printable text. */
            readonly label: string;
            /** @description A word for programs. */
            readonly category: string;
            /** @description Who says so. */
            readonly source: string;
            /** @description From 0 to 100. */
            readonly confidence: number;
            /** @description Unix seconds. */
            readonly valid_from_s: number;
            readonly valid_to_s?: number | null;
            readonly jurisdiction?: string | null;
            readonly entity?: string | null;
        };
        /**
         * EntityBody
         * @description The record of an entity from now on. `lei`: a legal entity identifier, ISO 17442.
         */
        readonly EntityBody: {
            /** @description A word for programs. */
            readonly id: string;
            /** @description Printable text. */
            readonly name: string;
            readonly jurisdiction?: string | null;
            readonly lei?: string | null;
        };
        /**
         * RuleBody
         * @description A rule to propose. Parameters that are left out have their defaults (docs/supervising/methods.md). `threshold`,
         *         `floor` and `below` are in cents (minor units of the reporting currency), names with `_pm` in thousandths, with
         *         `_tenths` in tenths, with `_h` in hours, with `_days` in days.
         */
        readonly RuleBody: {
            /** @enum {unknown} */
            readonly typology: "accumulation" | "chain_hopping" | "dispersal" | "dormant" | "mixer" | "new_account" | "pass_through" | "peel_chain" | "round_trip" | "sanctions" | "sanctions_indirect" | "structuring" | "velocity";
            /** @default {} */
            readonly parameters: Record<string, never>;
            readonly jurisdiction?: string | null;
            readonly from_s?: number | null;
            readonly to_s?: number | null;
            /** @description Why, in words. */
            readonly reason: string;
        };
        /**
         * DryRunBody
         * @description The time to try a rule on. At most `max_moves` moves are read; `complete` of the answer says if that was all.
         */
        readonly DryRunBody: {
            /**
             * @description Unix seconds.
             * @default 0
             */
            readonly since_s: number;
            readonly until_s?: number | null;
            /** @default 200000 */
            readonly max_moves: number;
        };
        /**
         * CaseBody
         * @description A case to open. A caller that sees some jurisdictions only names one of them.
         */
        readonly CaseBody: {
            readonly title: string;
            /** @default [] */
            readonly alerts: readonly string[];
            readonly jurisdiction?: string | null;
            readonly assignee?: string | null;
        };
        /** NoteBody */
        readonly NoteBody: {
            readonly text: string;
        };
        /** AssignBody */
        readonly AssignBody: {
            readonly assignee: string;
        };
        /**
         * AttachBody
         * @description The attachment: an alert, which brings its bundle, or a document (evidence that the API gave, for example).
         */
        readonly AttachBody: {
            readonly alert?: string | null;
            readonly name?: string | null;
            readonly document?: Record<string, never> | null;
        };
        /**
         * CloseBody
         * @description How a case ends. The first person proposes it, another one closes; they state the same outcome.
         */
        readonly CloseBody: {
            /** @enum {unknown} */
            readonly outcome: "duplicate" | "referred" | "reported" | "unfounded";
            /** @description Why, in words. */
            readonly reason: string;
        };
        /**
         * ReopenBody
         * @description Why the case is not to be closed, or is opened again.
         */
        readonly ReopenBody: {
            /** @description Why, in words. */
            readonly reason: string;
        };
        /**
         * PrepareBody
         * @description An order that `officer` is to sign first; both are CAIP-10 accounts on one chain.
         */
        readonly PrepareBody: {
            /** @description Printable ASCII, no spaces. */
            readonly officer: string;
            /** @description Printable ASCII, no spaces. */
            readonly account: string;
            /** @description One line; it is public. */
            readonly reason: string;
            /** @description SHA-256 of the case's id, in hex. */
            readonly case: string;
            /** @description Unix seconds, at most 90 days ahead. */
            readonly expires: number;
        };
        /** ApprovalBody */
        readonly ApprovalBody: {
            /** @description Printable ASCII, no spaces. */
            readonly officer: string;
        };
        /** LiftBody */
        readonly LiftBody: {
            /** @description Printable ASCII, no spaces. */
            readonly officer: string;
            /** @description One line; it is public. */
            readonly reason: string;
        };
        /**
         * ExportBody
         * @description The rows that are wanted, newest first. The moment is the finalized blocks unless `as_of` says another.
         */
        readonly ExportBody: {
            /** @enum {unknown} */
            readonly what: "swaps" | "transfers";
            /** @enum {unknown} */
            readonly format: "csv" | "jsonl" | "parquet";
            readonly chain?: string | null;
            readonly asset?: string | null;
            readonly account?: string | null;
            readonly since_s?: number | null;
            readonly until_s?: number | null;
            readonly as_of?: string | null;
            readonly labels?: number | null;
        };
        /**
         * TravelBody
         * @description The identities (IVMS101) behind one transfer. `receiver_key`: the X25519 public key of the receiving institution,
         *         for which a second copy is sealed.
         */
        readonly TravelBody: {
            /** @description Printable ASCII, no spaces. */
            readonly chain: string;
            /** @description 32 bytes in hex. */
            readonly tx_hash: string;
            /** @description Printable ASCII, no spaces. */
            readonly originator_account: string;
            /** @description Printable ASCII, no spaces. */
            readonly beneficiary_account: string;
            readonly identities: components["schemas"]["IdentityPayload"];
            readonly receiver_key?: string | null;
        };
        /**
         * IdentityPayload
         * @description Who sends, who receives, and by which institutions.
         */
        readonly IdentityPayload: {
            readonly originator: components["schemas"]["Originator"];
            readonly beneficiary: components["schemas"]["Beneficiary"];
            readonly originatingVASP: components["schemas"]["OriginatingVasp"];
            readonly beneficiaryVASP?: components["schemas"]["BeneficiaryVasp"] | null;
        };
        /** Originator */
        readonly Originator: {
            readonly originatorPersons: readonly components["schemas"]["Person"][];
            /** @default [] */
            readonly accountNumber: readonly string[];
        };
        /**
         * Person
         * @description One of the two.
         */
        readonly Person: {
            readonly naturalPerson?: components["schemas"]["NaturalPerson"] | null;
            readonly legalPerson?: components["schemas"]["LegalPerson"] | null;
        };
        /** NaturalPerson */
        readonly NaturalPerson: {
            readonly name: components["schemas"]["NaturalPersonName"];
            /** @default [] */
            readonly geographicAddress: readonly components["schemas"]["Address"][];
            readonly nationalIdentification?: components["schemas"]["NationalIdentification"] | null;
            readonly customerIdentification?: string | null;
            readonly dateAndPlaceOfBirth?: components["schemas"]["DateAndPlaceOfBirth"] | null;
            readonly countryOfResidence?: string | null;
        };
        /** NaturalPersonName */
        readonly NaturalPersonName: {
            readonly nameIdentifier: readonly components["schemas"]["NaturalPersonNameIdentifier"][];
            /** @default [] */
            readonly localNameIdentifier: readonly components["schemas"]["NaturalPersonNameIdentifier"][];
            /** @default [] */
            readonly phoneticNameIdentifier: readonly components["schemas"]["NaturalPersonNameIdentifier"][];
        };
        /** NaturalPersonNameIdentifier */
        readonly NaturalPersonNameIdentifier: {
            readonly primaryIdentifier: string;
            readonly secondaryIdentifier?: string | null;
            /** @enum {unknown} */
            readonly nameIdentifierType: "ALIA" | "BIRT" | "LEGL" | "MAID" | "MISC";
        };
        /** Address */
        readonly Address: {
            /** @enum {unknown} */
            readonly addressType: "BIZZ" | "GEOG" | "HOME";
            readonly department?: string | null;
            readonly subDepartment?: string | null;
            readonly streetName?: string | null;
            readonly buildingNumber?: string | null;
            readonly buildingName?: string | null;
            readonly floor?: string | null;
            readonly postBox?: string | null;
            readonly room?: string | null;
            readonly postCode?: string | null;
            readonly townName?: string | null;
            readonly townLocationName?: string | null;
            readonly districtName?: string | null;
            readonly countrySubDivision?: string | null;
            /** @default [] */
            readonly addressLine: readonly string[];
            readonly country: string;
        };
        /** NationalIdentification */
        readonly NationalIdentification: {
            readonly nationalIdentifier: string;
            /** @enum {unknown} */
            readonly nationalIdentifierType: "ARNU" | "CCPT" | "DRLC" | "FIIN" | "IDCD" | "LEIX" | "MISC" | "RAID" | "SOCS" | "TXID";
            readonly countryOfIssue?: string | null;
            readonly registrationAuthority?: string | null;
        };
        /** DateAndPlaceOfBirth */
        readonly DateAndPlaceOfBirth: {
            readonly dateOfBirth: string;
            readonly placeOfBirth: string;
        };
        /** LegalPerson */
        readonly LegalPerson: {
            readonly name: components["schemas"]["LegalPersonName"];
            /** @default [] */
            readonly geographicAddress: readonly components["schemas"]["Address"][];
            readonly customerNumber?: string | null;
            readonly nationalIdentification?: components["schemas"]["NationalIdentification"] | null;
            readonly countryOfRegistration?: string | null;
        };
        /** LegalPersonName */
        readonly LegalPersonName: {
            readonly nameIdentifier: readonly components["schemas"]["LegalPersonNameIdentifier"][];
        };
        /** LegalPersonNameIdentifier */
        readonly LegalPersonNameIdentifier: {
            readonly legalPersonName: string;
            /** @enum {unknown} */
            readonly legalPersonNameIdentifierType: "LEGL" | "SHRT" | "TRAD";
        };
        /** Beneficiary */
        readonly Beneficiary: {
            readonly beneficiaryPersons: readonly components["schemas"]["Person"][];
            /** @default [] */
            readonly accountNumber: readonly string[];
        };
        /** OriginatingVasp */
        readonly OriginatingVasp: {
            readonly originatingVASP: components["schemas"]["Person"];
        };
        /** BeneficiaryVasp */
        readonly BeneficiaryVasp: {
            readonly beneficiaryVASP: components["schemas"]["Person"];
        };
        /**
         * TraceBody
         * @description A trace to be made. Give one source: `transaction` or `account`. With `evidence` the answer has a bundle.
         */
        readonly TraceBody: {
            /**
             * @default forward
             * @enum {unknown}
             */
            readonly way: "backward" | "forward";
            readonly methods?: readonly ("fifo" | "haircut" | "poison")[];
            readonly transaction?: components["schemas"]["TransactionSource"] | null;
            readonly account?: components["schemas"]["AccountSource"] | null;
            /** @default 5 */
            readonly hops: number;
            /** @default 10000 */
            readonly edges: number;
            readonly as_of?: string | null;
            readonly labels?: number | null;
            /** @default false */
            readonly evidence: boolean;
        };
        /**
         * TransactionSource
         * @description One movement of value. `index` names it if the transaction has several: the place in its block.
         */
        readonly TransactionSource: {
            /** @description Printable ASCII, no spaces. */
            readonly chain: string;
            /** @description 32 bytes in hex. */
            readonly tx: string;
            readonly index?: number | null;
        };
        /**
         * AccountSource
         * @description All that an account sends (backward: receives) of an asset between two times, both inclusive.
         */
        readonly AccountSource: {
            /** @description Printable ASCII, no spaces. */
            readonly account: string;
            /** @description Printable ASCII, no spaces. */
            readonly asset: string;
            readonly since_s?: number | null;
            readonly until_s?: number | null;
        };
        /** ChainsAnswer */
        readonly ChainsAnswer: {
            readonly now_s: number;
            readonly items: readonly components["schemas"]["ChainView"][];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * ChainView
         * @description `state`: `starting`, `backfilling`, `live`, `unreachable`, `inconsistent`, or `stale` if the follower itself
         *         has not been heard of. `lag_blocks` counts from the newest block indexed to the head, `lag_s` is that block's age.
         *         `alarms` are reorgs below finality that nobody has acknowledged; `set_aside` counts facts that are stored and that
         *         some list or sum does not contain, because it could not digest them.
         */
        readonly ChainView: {
            readonly chain: string;
            readonly genesis_hash: string;
            readonly state: string;
            readonly detail: string;
            readonly head_height: number | null;
            readonly observed_s: number | null;
            readonly indexed: components["schemas"]["BlockView"] | null;
            readonly finalized: components["schemas"]["BlockView"] | null;
            readonly lag_blocks: number | null;
            readonly lag_s: number | null;
            readonly alarms: number;
            readonly set_aside: number;
            readonly ready: boolean;
        };
        /** BlockView */
        readonly BlockView: {
            readonly height: number;
            readonly hash: string;
            readonly time_s: number;
        };
        /**
         * EvidenceAnswer
         * @description `complete`: every leg that is locked is proven. Each evidence says as of which finalized block it holds.
         */
        readonly EvidenceAnswer: {
            readonly id: string;
            readonly complete: boolean;
            readonly legs: readonly components["schemas"]["LegEvidence"][];
        };
        /**
         * LegEvidence
         * @description `evidence` is a document that `causeway verify` checks offline, or null with the reason in `problem`.
         */
        readonly LegEvidence: {
            readonly role: string;
            readonly chain: string;
            readonly lock_id: string;
            readonly evidence: unknown | null;
            readonly problem: string | null;
            readonly detail: string | null;
        };
        /**
         * EvidenceFile
         * @description One leg's evidence, as `causeway verify` reads it (docs/concepts/proofs.md): keep its bytes as they are.
         */
        readonly EvidenceFile: {
            readonly version: number;
            readonly kind: string;
            readonly question: Record<string, never>;
            readonly answer: Record<string, never>;
            readonly as_of: Record<string, never>;
            readonly proof: Record<string, never>;
            readonly digest: string;
        };
        /** AssetsPage */
        readonly AssetsPage: {
            readonly items: readonly components["schemas"]["AssetView"][];
            readonly next: string | null;
            readonly as_of: readonly components["schemas"]["AsOfView"][];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * AssetView
         * @description `source` says who calls it so: `event` (its ledger, in a block), `contract` and `ledger` (when asked), or
         *         `configuration`. Null, with `symbol` and `decimals`, if nobody was asked. Texts are what their author likes: an
         *         asset is what its id says. `first_height`: the first block that names it, null before there is one.
         */
        readonly AssetView: {
            readonly asset: string;
            readonly chain: string;
            readonly symbol: string | null;
            readonly name: string;
            readonly decimals: number | null;
            readonly source: ("configuration" | "contract" | "event" | "ledger") | null;
            readonly issuer: string | null;
            readonly first_height: number | null;
        };
        /**
         * AsOfView
         * @description Up to which block a chain was read, and which of them are final (None: none yet).
         */
        readonly AsOfView: {
            readonly chain: string;
            readonly block: components["schemas"]["BlockView"] | null;
            readonly finalized: components["schemas"]["BlockView"] | null;
        };
        /** ContractsPage */
        readonly ContractsPage: {
            readonly items: readonly components["schemas"]["ContractView"][];
            readonly next: string | null;
            readonly as_of: readonly components["schemas"]["AsOfView"][];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * ContractView
         * @description A contract that events came from. `name` is empty if nobody knows one. `events` counts those that are
         *         indexed, the first and the last of them in blocks `first_height` and `last_height`.
         */
        readonly ContractView: {
            readonly contract: string;
            readonly chain: string;
            /** @enum {unknown} */
            readonly kind: "htlc" | "named" | "token";
            readonly name: string;
            readonly first_height: number;
            readonly last_height: number;
            readonly events: number;
        };
        /**
         * ConservationAnswer
         * @description `ok`: what was locked is claimed, refunded and open together, no settlement lacks its lock, and the HTLC's own
         *         account (`holder`, on chains that have one) holds at least what is open. `notes` are machine codes:
         *         `holder-not-asked`, `ledger-holds-locks`, `unmatched-settlements`.
         */
        readonly ConservationAnswer: {
            readonly asset: string;
            readonly chain: string;
            readonly symbol: string | null;
            readonly decimals: number | null;
            readonly ok: boolean;
            readonly locked: components["schemas"]["SumView"];
            readonly claimed: components["schemas"]["SumView"];
            readonly refunded: components["schemas"]["SumView"];
            readonly open: components["schemas"]["SumView"];
            readonly holder: string | null;
            readonly holder_balance: string | null;
            readonly unmatched_settlements: number;
            /** @enum {unknown} */
            readonly finality: "finalized" | "latest";
            readonly as_of: components["schemas"]["BlockView"];
            readonly notes: readonly string[];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /** SumView */
        readonly SumView: {
            readonly count: number;
            readonly base_units: string;
        };
        /**
         * SummaryAnswer
         * @description `swaps` and `locks` count by status, over the newest blocks; conservation is as of the finalized ones. If another
         *         moment is asked for, both are as of that. `chains` are as they are now, `as_of` is what was counted up to.
         */
        readonly SummaryAnswer: {
            readonly now_s: number;
            readonly chains: readonly components["schemas"]["ChainView"][];
            readonly swaps: {
                readonly [key: string]: number;
            };
            readonly locks: {
                readonly [key: string]: number;
            };
            readonly transfers: number;
            readonly conservation_ok: boolean;
            readonly conservation: readonly components["schemas"]["ConservationAnswer"][];
            readonly as_of: readonly components["schemas"]["AsOfView"][];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * AgreementAnswer
         * @description `new` is false if exactly this was reported before.
         */
        readonly AgreementAnswer: {
            readonly swap_id: string;
            readonly new: boolean;
        };
        /** AuditPage */
        readonly AuditPage: {
            readonly items: readonly components["schemas"]["AuditEntryView"][];
            readonly next: string | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * AuditEntryView
         * @description `purpose` and `case` are what the caller stated. `signature` is that of the process that wrote it, in hex.
         */
        readonly AuditEntryView: {
            readonly seq: number;
            readonly time_ns: string;
            readonly who: string;
            readonly method: string;
            readonly what: string;
            readonly purpose: string;
            readonly case: string;
            readonly request_id: string;
            readonly status: number;
            readonly answer_sha256: string;
            readonly hash: string;
            readonly signature: string | null;
        };
        /** ListsPage */
        readonly ListsPage: {
            readonly items: readonly components["schemas"]["ListVersionView"][];
            readonly next: string | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * ListVersionView
         * @description A step of what is known. `kind`: a format, `own` or `entity`. `sha256` is that of the files or of the body.
         */
        readonly ListVersionView: {
            readonly version: number;
            readonly known_ns: string;
            readonly list: string;
            readonly kind: string;
            readonly published_s: number;
            readonly sha256: string;
            readonly who: string;
            readonly entries: number;
            readonly added: number;
            readonly changed: number;
            readonly removed: number;
        };
        /** ChangesPage */
        readonly ChangesPage: {
            readonly items: readonly components["schemas"]["ChangeView"][];
            readonly next: string | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * ChangeView
         * @description `replaced`: known before this version, and not since. `stated`: known since. A delisting is both: the tag without
         *         an end is replaced by the same one with an end.
         */
        readonly ChangeView: {
            /** @enum {unknown} */
            readonly change: "replaced" | "stated";
            readonly tag: components["schemas"]["TagView"];
        };
        /**
         * TagView
         * @description `known_to_ns` is null while it is known as it is; so is `valid_to_s` while it has no end.
         */
        readonly TagView: {
            readonly account: string;
            readonly label: string;
            readonly category: string;
            readonly source: string;
            readonly confidence: number;
            readonly valid_from_s: number;
            readonly valid_to_s: number | null;
            readonly jurisdiction: string | null;
            readonly entity: string | null;
            readonly list: string;
            readonly version: number;
            readonly known_from_ns: string;
            readonly known_to_ns: string | null;
        };
        /**
         * TagsPage
         * @description `label_version` is the version that the answer is as of.
         */
        readonly TagsPage: {
            readonly items: readonly components["schemas"]["TagView"][];
            readonly next: string | null;
            readonly label_version: number;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /** EntitiesPage */
        readonly EntitiesPage: {
            readonly items: readonly components["schemas"]["EntityView"][];
            readonly next: string | null;
            readonly label_version: number;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /** EntityView */
        readonly EntityView: {
            readonly id: string;
            readonly name: string;
            readonly jurisdiction: string | null;
            readonly lei: string | null;
        };
        /**
         * EntityAnswer
         * @description `entity` is null if tags name it and nobody gave a record. `accounts` are the first 200 that tags name it for;
         *         `/v1/tags?entity=` lists all.
         */
        readonly EntityAnswer: {
            readonly id: string;
            readonly entity: components["schemas"]["EntityView"] | null;
            readonly accounts: readonly string[];
            readonly label_version: number;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /** AlertsPage */
        readonly AlertsPage: {
            readonly items: readonly components["schemas"]["AlertView"][];
            readonly next: string | null;
            readonly as_of: readonly components["schemas"]["AsOfView"][];
            readonly rules: components["schemas"]["RulesStateView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * AlertView
         * @description An alert. `figures` are what was measured and the thresholds, `figure_units` the units of those that have one:
         *         `cents` are minor units of the reporting currency. `explanation` says the same to people. `moves` are those that
         *         counted at the last trigger; `final`: all their blocks are. `withdrawn`: a reorg, a late block or a label took the
         *         reason away. `changed` grows with each change of any.
         */
        readonly AlertView: {
            readonly id: string;
            readonly typology: string;
            readonly title: string;
            readonly rule: string;
            readonly subject: string;
            readonly explanation: string;
            readonly figures: {
                readonly [key: string]: string;
            };
            readonly figure_units: {
                readonly [key: string]: string;
            };
            readonly moves: readonly components["schemas"]["MoveView"][];
            readonly others: readonly string[];
            readonly first: components["schemas"]["MoveView"];
            readonly last: components["schemas"]["MoveView"];
            readonly observations: number;
            readonly final: boolean;
            readonly withdrawn: boolean;
            readonly label_version: number;
            readonly found_ns: string;
            readonly changed: number;
            readonly case_id: string | null;
        };
        /**
         * MoveView
         * @description The place of a move: of `account` in the block at `height`, the event `index`.
         */
        readonly MoveView: {
            readonly chain: string;
            readonly height: number;
            readonly index: number;
            /** @enum {unknown} */
            readonly direction: "in" | "out";
            readonly time_s: number;
            readonly account: string;
        };
        /**
         * RulesStateView
         * @description How far the rules have read. `incomplete` says what only a cold run would add, empty if nothing.
         */
        readonly RulesStateView: {
            readonly seq: number;
            readonly label_version: number;
            readonly changed: number;
            readonly incomplete: string;
        };
        /** AlertAnswer */
        readonly AlertAnswer: {
            readonly alert: components["schemas"]["AlertView"];
            readonly as_of: readonly components["schemas"]["AsOfView"][];
            readonly rules: components["schemas"]["RulesStateView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * BundleAnswer
         * @description A bundle, as `causeway verify` reads it: keep its bytes as they are.
         */
        readonly BundleAnswer: {
            readonly version: number;
            readonly kind: string;
            readonly rule: Record<string, never>;
            readonly alert: Record<string, never>;
            readonly histories: readonly Record<string, never>[];
            readonly names: {
                readonly [key: string]: string;
            };
            readonly label_version: number;
            readonly rates_sha256: string;
            readonly digest: string;
        };
        /** RulesAnswer */
        readonly RulesAnswer: {
            readonly items: readonly components["schemas"]["RuleView"][];
            readonly state: components["schemas"]["RulesStateView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * RuleView
         * @description A rule: a typology with `parameters`; `parameter_units` has the units of those that have one: `cents` are minor
         *         units of the reporting currency, `thousandths` shares. In force at moves from `from_s` to just before `to_s` (null:
         *         without end).
         */
        readonly RuleView: {
            readonly id: string;
            readonly typology: string;
            readonly title: string;
            readonly version: number;
            readonly parameters: Record<string, never>;
            readonly parameter_units: {
                readonly [key: string]: string;
            };
            readonly jurisdiction: string | null;
            readonly from_s: number;
            readonly to_s: number | null;
            readonly state: string;
            readonly reason: string;
            readonly proposed_by: string;
            readonly proposed_ns: string;
            readonly decided_by: string | null;
            readonly decided_ns: string | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * DryRunAnswer
         * @description The alerts that the rule would have raised, and what the rules of its typology in force say of the same moves.
         */
        readonly DryRunAnswer: {
            readonly rule: string;
            readonly complete: boolean;
            readonly subjects: number;
            readonly moves: number;
            readonly alerts: number;
            readonly in_force: number;
            readonly only_new: number;
            readonly only_in_force: number;
            readonly examples: readonly components["schemas"]["AlertView"][];
            readonly as_of: readonly components["schemas"]["AsOfView"][];
        };
        /** RatesPage */
        readonly RatesPage: {
            readonly items: readonly components["schemas"]["RateView"][];
            readonly next: string | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * RateView
         * @description `base_units` of the asset are worth `minor_units` of the reporting currency, from `from_s` on.
         */
        readonly RateView: {
            readonly asset: string;
            readonly from_s: number;
            readonly minor_units: string;
            readonly base_units: string;
            readonly source: string;
        };
        /** CasesPage */
        readonly CasesPage: {
            readonly items: readonly components["schemas"]["CaseView"][];
            readonly next: string | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /** CaseView */
        readonly CaseView: {
            readonly id: string;
            readonly title: string;
            readonly status: string;
            readonly assignee: string | null;
            readonly jurisdiction: string | null;
            readonly opened_by: string;
            readonly opened_ns: string;
            readonly closing_by: string | null;
            readonly closed_by: string | null;
            readonly closed_ns: string | null;
            readonly outcome: string | null;
            readonly alerts: readonly string[];
            readonly entries: number;
        };
        /**
         * CaseDocument
         * @description A case with everything that happened to it.
         */
        readonly CaseDocument: {
            readonly case: components["schemas"]["CaseView"];
            readonly entries: readonly components["schemas"]["CaseEntryView"][];
            readonly alerts: readonly components["schemas"]["AlertView"][];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * CaseEntryView
         * @description Something that happened to a case. `sha256` covers it and the entry before: an export that was changed shows.
         */
        readonly CaseEntryView: {
            readonly number: number;
            readonly kind: string;
            readonly who: string;
            readonly time_ns: string;
            readonly body: Record<string, never>;
            readonly sha256: string;
        };
        /**
         * OrdersAnswer
         * @description Orders as of one block, newest first. With a filter a page may be short, and others follow under `next`; so it
         *         may for a caller that sees some jurisdictions, to which `count`, of all orders, is null.
         */
        readonly OrdersAnswer: {
            readonly chain: string;
            readonly height: number;
            readonly time: number;
            readonly count: number | null;
            readonly items: readonly components["schemas"]["OrderBody"][];
            readonly next: string | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * OrderBody
         * @description One order. `lift_waits`: a lift was prepared, and waits for a second officer.
         */
        readonly OrderBody: {
            readonly number: number;
            /** @enum {string} */
            readonly status: "prepared" | "lapsed" | "in-force" | "expired" | "lifted" | "renewed";
            readonly account: string;
            readonly reason: string;
            readonly case: string;
            readonly expires: number;
            readonly prepared: components["schemas"]["StepView"];
            readonly approved: components["schemas"]["StepView"] | null;
            readonly lift_reason: string | null;
            readonly lift_prepared: components["schemas"]["StepView"] | null;
            readonly lift_approved: components["schemas"]["StepView"] | null;
            readonly lift_waits: boolean;
            readonly renewed_by: number | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * StepView
         * @description An officer's half, and when its block was, in Unix seconds.
         */
        readonly StepView: {
            readonly officer: string;
            readonly time: number;
        };
        /**
         * HoldAnswer
         * @description `order` and `until` (Unix seconds) are absent if nothing holds the account.
         */
        readonly HoldAnswer: {
            readonly account: string;
            readonly held: boolean;
            readonly order: number | null;
            readonly until: number | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * HoldHistory
         * @description Everything that officers signed about an account, the newest first, as of a moment.
         */
        readonly HoldHistory: {
            readonly account: string;
            readonly items: readonly components["schemas"]["HalfView"][];
            readonly next: string | null;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * HalfView
         * @description An officer's half of an order about the account. `reason` is absent where the step has none of its own.
         */
        readonly HalfView: {
            readonly order: number;
            /** @enum {string} */
            readonly step: "prepared" | "in-force" | "lift-prepared" | "lifted";
            readonly officer: string;
            readonly reason: string | null;
            readonly case: string | null;
            readonly expires: number | null;
            readonly renews: number | null;
            readonly placed: components["schemas"]["PlacedView"];
            readonly index: number;
        };
        /**
         * PlacedView
         * @description A transaction in a block. `final`: irreversible by the chain's rule.
         */
        readonly PlacedView: {
            readonly tx_hash: string;
            readonly block: components["schemas"]["BlockView"];
            readonly final: boolean;
        };
        /**
         * MomentView
         * @description The moment of an answer. `as_of` asks for it again; `labels` is the label version. `finalized`: no block that the
         *         answer rests on can be reverted.
         */
        readonly MomentView: {
            readonly as_of: string;
            readonly labels: number;
            readonly finalized: boolean;
            readonly chains: readonly components["schemas"]["AsOfView"][];
        };
        /**
         * OrderDraft
         * @description A half of an order as JSON. `case` (64 hex digits) and `expires` (Unix seconds) are parts of an order, not of a
         *         lift; `order` is the number that every half but the first names. `transaction` is the signed half in hex.
         */
        readonly OrderDraft: {
            /** @enum {unknown} */
            readonly format: "causeway-order/1";
            readonly chain: string;
            /** @enum {unknown} */
            readonly step: "approve" | "approve-lift" | "prepare" | "prepare-lift";
            readonly officer: string;
            readonly sequence: number;
            readonly expiry_height: number;
            readonly account: string;
            readonly reason: string;
            readonly order: number | null;
            readonly case: string | null;
            readonly expires: number | null;
            readonly transaction: string | null;
        };
        /**
         * SupplyAnswer
         * @description An asset as of one block. `locked` is what open locks hold, `in_flight` that part of it whose hashlock has an
         *         agreement. `residual` is 0 if what was issued and not burned is held or locked, and null for native coins, of
         *         which only payments are indexed.
         */
        readonly SupplyAnswer: {
            readonly asset: string;
            readonly chain: string;
            readonly issued: components["schemas"]["AmountView"];
            readonly burned: components["schemas"]["AmountView"];
            readonly held: components["schemas"]["AmountView"];
            readonly locked: components["schemas"]["AmountView"];
            readonly in_flight: components["schemas"]["AmountView"];
            readonly residual: string | null;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * AmountView
         * @description `base_units` is a decimal integer; shift it by `decimals` to read it. Both others are null for unknown assets.
         */
        readonly AmountView: {
            readonly asset: string;
            readonly base_units: string;
            readonly decimals: number | null;
            readonly symbol: string | null;
        };
        /**
         * ConcentrationAnswer
         * @description How an asset is spread. `hhi` is the Herfindahl-Hirschman index, 10,000 if one account holds everything;
         *         `top_ppm` is the share of `top` in all that is held, in parts per million. Both are rounded down.
         */
        readonly ConcentrationAnswer: {
            readonly asset: string;
            readonly holders: number;
            readonly total: components["schemas"]["AmountView"];
            readonly hhi: number;
            readonly top: readonly components["schemas"]["HolderView"][];
            readonly top_ppm: number;
            readonly bundle: Record<string, never> | null;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /** HolderView */
        readonly HolderView: {
            readonly account: string;
            readonly entity: string | null;
            readonly categories: readonly string[];
            readonly amount: components["schemas"]["AmountView"];
        };
        /**
         * SeriesAnswer
         * @description An asset's movements by steps of time; steps without any are left out. `velocity_ppm` is the volume of the span
         *         by what is held of the asset, in parts per million, rounded down; null if nothing is held, for native coins, and
         *         for callers who see some jurisdictions only. `whole` is false if there were more movements than are added up.
         */
        readonly SeriesAnswer: {
            readonly asset: string;
            readonly step_s: number;
            readonly since_s: number;
            readonly until_s: number;
            readonly items: readonly components["schemas"]["BucketView"][];
            readonly volume: components["schemas"]["AmountView"];
            readonly velocity_ppm: number | null;
            readonly whole: boolean;
            readonly bundle: Record<string, never> | null;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * BucketView
         * @description One step of time, from `from_s` on. `volume` adds up its transfers, in base units.
         */
        readonly BucketView: {
            readonly from_s: number;
            readonly transfers: number;
            readonly volume: string;
            readonly locks: number;
            readonly claims: number;
            readonly refunds: number;
        };
        /**
         * CorridorsAnswer
         * @description Corridors, the most used first. `whole` is false if there were more swaps than are added up.
         */
        readonly CorridorsAnswer: {
            readonly items: readonly components["schemas"]["CorridorView"][];
            readonly whole: boolean;
            readonly bundle: Record<string, never> | null;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * CorridorView
         * @description All completed swaps from one asset to another: `given` is what initiators paid, `taken` what they received.
         */
        readonly CorridorView: {
            readonly from_chain: string;
            readonly to_chain: string;
            readonly swaps: number;
            readonly given: components["schemas"]["AmountView"];
            readonly taken: components["schemas"]["AmountView"];
        };
        /** RecordsPage */
        readonly RecordsPage: {
            readonly items: readonly components["schemas"]["RecordView"][];
            readonly next: string | null;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * RecordView
         * @description One version of a record. `digest` is the SHA-256 of its document, which the ledger keeps.
         */
        readonly RecordView: {
            readonly chain: string;
            readonly namespace: string;
            readonly key: string;
            readonly version: number;
            readonly author: string;
            readonly digest: string;
            readonly placed: components["schemas"]["PlacedView"];
        };
        /** TransfersPage */
        readonly TransfersPage: {
            readonly items: readonly components["schemas"]["TransferView"][];
            readonly next: string | null;
            readonly as_of: readonly components["schemas"]["AsOfView"][];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * TransferView
         * @description An issue has no sender, a burn no receiver.
         */
        readonly TransferView: {
            readonly chain: string;
            readonly amount: components["schemas"]["AmountView"];
            readonly sender: string | null;
            readonly receiver: string | null;
            readonly placed: components["schemas"]["PlacedView"];
            readonly index: number;
        };
        /** SwapsPage */
        readonly SwapsPage: {
            readonly items: readonly components["schemas"]["SwapAnswer"][];
            readonly next: string | null;
            readonly as_of: readonly components["schemas"]["AsOfView"][];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * SwapAnswer
         * @description A swap. `agreed_source` says who reported the agreed terms; without it legs are not joined and `candidates` are
         *         shown. `others` are further locks under the same hashlock: anyone can copy a public hashlock.
         */
        readonly SwapAnswer: {
            readonly id: string;
            readonly hashlock: string;
            readonly status: string;
            readonly final: boolean;
            readonly opened_s: number;
            readonly agreed_source: string | null;
            readonly initiator: components["schemas"]["LegAnswer"] | null;
            readonly participant: components["schemas"]["LegAnswer"] | null;
            readonly others: readonly components["schemas"]["LockView"][];
            readonly candidates: readonly components["schemas"]["CandidateView"][];
        };
        /**
         * LegAnswer
         * @description The agreed terms, and the lock with exactly these terms, if it is there.
         */
        readonly LegAnswer: {
            readonly agreed: components["schemas"]["TermsView"];
            readonly lock: components["schemas"]["LockView"] | null;
        };
        /** TermsView */
        readonly TermsView: {
            readonly chain: string;
            readonly amount: components["schemas"]["AmountView"];
            readonly sender: string;
            readonly receiver: string;
            readonly timelock_s: number;
        };
        /**
         * LockView
         * @description A lock as its chain shows it. `preimage` is public, it was claimed with it.
         */
        readonly LockView: {
            readonly lock_id: string;
            readonly terms: components["schemas"]["TermsView"];
            readonly status: string;
            readonly locked: components["schemas"]["PlacedView"];
            readonly settled: components["schemas"]["PlacedView"] | null;
            readonly preimage: string | null;
        };
        /**
         * CandidateView
         * @description Two locks under one hashlock that may belong together; a higher score does not prove it.
         */
        readonly CandidateView: {
            readonly initiator_lock: string;
            readonly initiator_chain: string;
            readonly participant_lock: string;
            readonly participant_chain: string;
            readonly score: number;
            readonly reasons: readonly string[];
        };
        /**
         * SwapDocument
         * @description A swap, and its steps on one axis of time; `refundable` is the timelock of a lock that is open.
         */
        readonly SwapDocument: {
            readonly swap: components["schemas"]["SwapAnswer"];
            readonly steps: readonly components["schemas"]["SwapStepView"][];
            readonly as_of: readonly components["schemas"]["AsOfView"][];
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * SwapStepView
         * @description One step of a swap. `leg` is `initiator`, `participant`, or `other` for a lock that belongs to no agreed leg.
         */
        readonly SwapStepView: {
            readonly time_s: number;
            readonly chain: string;
            /** @enum {unknown} */
            readonly leg: "initiator" | "other" | "participant";
            /** @enum {unknown} */
            readonly what: "claimed" | "locked" | "refundable" | "refunded";
            readonly placed: components["schemas"]["PlacedView"] | null;
        };
        /** SearchAnswer */
        readonly SearchAnswer: {
            readonly items: readonly components["schemas"]["HitView"][];
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * HitView
         * @description Something that the words name. `path` leads to it.
         */
        readonly HitView: {
            /** @enum {unknown} */
            readonly kind: "account" | "asset" | "contract" | "entity" | "record" | "swap" | "transaction";
            readonly id: string;
            readonly path: string;
            readonly detail: string;
        };
        /**
         * ProfileAnswer
         * @description One account. `keeper`: it keeps locks, and value only passes through it. `whole` is false if the chain has more
         *         assets than were looked at. Times are Unix seconds, null before the first move. `alerts` counts the alerts that
         *         stand now about the account, or about its entity, by typology.
         */
        readonly ProfileAnswer: {
            readonly account: string;
            readonly chain: string;
            readonly entity: string | null;
            readonly tags: readonly components["schemas"]["AccountTagView"][];
            readonly keeper: boolean;
            readonly first_s: number | null;
            readonly last_s: number | null;
            readonly balances: readonly components["schemas"]["BalanceView"][];
            readonly whole: boolean;
            readonly alerts: {
                readonly [key: string]: number;
            };
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * AccountTagView
         * @description A source's word about an account, valid at the moment of the answer.
         */
        readonly AccountTagView: {
            readonly label: string;
            readonly category: string;
            readonly source: string;
            readonly confidence: number;
            readonly list: string;
            readonly version: number;
        };
        /**
         * BalanceView
         * @description `exact` is false for native coins: there it is the sum of the payments that were indexed.
         */
        readonly BalanceView: {
            readonly amount: components["schemas"]["AmountView"];
            readonly exact: boolean;
        };
        /** MovesPage */
        readonly MovesPage: {
            readonly account: string;
            readonly items: readonly components["schemas"]["AccountMoveView"][];
            readonly next: string | null;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * AccountMoveView
         * @description A movement of value as the account sees it: `in` or `out`, and what moved it. `other` is null for issues and
         *         burns; for locks, claims and refunds it is the keeper of the chain's locks.
         */
        readonly AccountMoveView: {
            /** @enum {unknown} */
            readonly direction: "in" | "out";
            /** @enum {unknown} */
            readonly kind: "claim" | "covered" | "lock" | "refund" | "transfer";
            readonly other: string | null;
            readonly amount: components["schemas"]["AmountView"];
            readonly placed: components["schemas"]["PlacedView"];
            readonly index: number;
        };
        /**
         * PartnersAnswer
         * @description Counterparties, those with most moves first. `moves` were added up; with `whole` false there are older ones.
         */
        readonly PartnersAnswer: {
            readonly account: string;
            readonly items: readonly components["schemas"]["PartnerView"][];
            readonly moves: number;
            readonly whole: boolean;
            readonly more: boolean;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * PartnerView
         * @description One other party and one asset: what the account received from it and sent to it. Amounts are base units.
         */
        readonly PartnerView: {
            readonly account: string | null;
            readonly entity: string | null;
            readonly categories: readonly string[];
            readonly amount_received: components["schemas"]["AmountView"];
            readonly amount_sent: components["schemas"]["AmountView"];
            readonly received: number;
            readonly sent: number;
            readonly first_s: number;
            readonly last_s: number;
        };
        /**
         * HoldingsAnswer
         * @description An entity's accounts, which tags name, and what they hold together by asset.
         */
        readonly HoldingsAnswer: {
            readonly id: string;
            readonly name: string | null;
            readonly jurisdiction: string | null;
            readonly accounts: readonly string[];
            readonly first_s: number | null;
            readonly last_s: number | null;
            readonly balances: readonly components["schemas"]["BalanceView"][];
            readonly more: boolean;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * ActivityAnswer
         * @description A span of time, both ends inclusive, as of a moment. `swaps` are those opened in it, by status; `corridors` those
         *         completed in it. `alerts` count by typology those that were last triggered in it and stand now; `cases` is null for
         *         callers without that scope. `whole` is false if there was more than is added up.
         */
        readonly ActivityAnswer: {
            readonly since_s: number;
            readonly until_s: number;
            readonly jurisdiction: string | null;
            readonly assets: readonly components["schemas"]["AssetActivity"][];
            readonly swaps: {
                readonly [key: string]: number;
            };
            readonly corridors: readonly components["schemas"]["CorridorView"][];
            readonly alerts: {
                readonly [key: string]: number;
            };
            readonly cases: components["schemas"]["CaseCounts"] | null;
            readonly whole: boolean;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * AssetActivity
         * @description An asset's movements: transfers and locks by their block's time, claims and refunds by that of the block that
         *         settled the lock.
         */
        readonly AssetActivity: {
            readonly asset: string;
            readonly chain: string;
            readonly transferred: components["schemas"]["CountedAmount"];
            readonly locked: components["schemas"]["CountedAmount"];
            readonly claimed: components["schemas"]["CountedAmount"];
            readonly refunded: components["schemas"]["CountedAmount"];
        };
        /** CountedAmount */
        readonly CountedAmount: {
            readonly count: number;
            readonly amount: components["schemas"]["AmountView"];
        };
        /**
         * CaseCounts
         * @description Cases opened and closed in the span, and those of them that were closed, by outcome. As they stand now.
         */
        readonly CaseCounts: {
            readonly opened: number;
            readonly closed: number;
            readonly outcomes: {
                readonly [key: string]: number;
            };
        };
        /**
         * ExportAnswer
         * @description How far an export is. `sha256` is of the file, null before it is `done`; `detail` says why it `failed`. `rows`
         *         and `bytes` are those that are made so far. It is forgotten after `expires_s`, Unix seconds.
         */
        readonly ExportAnswer: {
            readonly id: string;
            /** @enum {unknown} */
            readonly state: "done" | "failed" | "running";
            /** @enum {unknown} */
            readonly format: "csv" | "jsonl" | "parquet";
            readonly rows: number;
            readonly bytes: number;
            readonly sha256: string | null;
            readonly detail: string;
            readonly expires_s: number;
        };
        /**
         * MeAnswer
         * @description `jurisdictions` are ISO 3166 codes; null is all of them.
         */
        readonly MeAnswer: {
            readonly name: string;
            readonly scopes: readonly string[];
            readonly jurisdictions: readonly string[] | null;
        };
        /** TravelMade */
        readonly TravelMade: {
            readonly id: number;
            readonly transfer: string;
        };
        /** TravelPage */
        readonly TravelPage: {
            readonly items: readonly components["schemas"]["TravelView"][];
            readonly next: string | null;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * TravelView
         * @description `transfer` is `<chain>:<transaction hash>`. `persons` says as much as anybody may see. `sealed_for_receiver` is
         *         base64: a box of libsodium that the receiving institution opens.
         */
        readonly TravelView: {
            readonly id: number;
            readonly transfer: string;
            readonly originator_account: string;
            readonly beneficiary_account: string;
            readonly reporter: string;
            readonly time_ns: string;
            readonly persons: {
                readonly [key: string]: readonly string[];
            };
            readonly sealed_for_receiver: string | null;
        };
        /**
         * TravelIdentities
         * @description A record with its identities, for who may see personal data.
         */
        readonly TravelIdentities: {
            readonly record: components["schemas"]["TravelView"];
            readonly identities: Record<string, never>;
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * TraceAnswer
         * @description A trace. The same `id` gives the same answer again. `edges` were looked at, of `ledgers`.
         */
        readonly TraceAnswer: {
            readonly id: string;
            readonly algorithm: number;
            /** @enum {unknown} */
            readonly way: "backward" | "forward";
            readonly hops: number;
            readonly edges: number;
            readonly ledgers: number;
            readonly bounds: readonly components["schemas"]["BoundView"][];
            readonly methods: readonly components["schemas"]["MethodView"][];
            readonly candidates: readonly components["schemas"]["CrossingView"][];
            readonly bundle: Record<string, never> | null;
            readonly moment: components["schemas"]["MomentView"];
            readonly proof?: components["schemas"]["ProofView"];
        };
        /**
         * BoundView
         * @description How many ledgers the trace stopped at for a reason.
         */
        readonly BoundView: {
            /** @enum {unknown} */
            readonly stop: "edges" | "hops" | "origin" | "service" | "too-many-moves";
            readonly ledgers: number;
        };
        /**
         * MethodView
         * @description One method's result: the largest `ends` and the first `flows`; `more` says how many were left out.
         */
        readonly MethodView: {
            /** @enum {unknown} */
            readonly method: "fifo" | "haircut" | "poison";
            readonly sums: components["schemas"]["SumsView"] | null;
            readonly ends: readonly components["schemas"]["EndView"][];
            readonly more_ends: number;
            readonly flows: readonly components["schemas"]["FlowView"][];
            readonly more_flows: number;
            readonly digest: string;
        };
        /**
         * SumsView
         * @description The whole source, by where it is: it is `held`, `stopped`, `in_flight` and `fees` together, to the last unit.
         *         `fees` went to nobody (backward: was issued).
         */
        readonly SumsView: {
            readonly source: string;
            readonly held: string;
            readonly stopped: string;
            readonly in_flight: string;
            readonly fees: string;
            readonly conserved: boolean;
        };
        /**
         * EndView
         * @description A ledger that has value in the end (backward: gave it). `taint` is in base units of the source; by poison, of the
         *         ledger's own asset. `stop` says why the trace does not go on there, null if nothing went on.
         */
        readonly EndView: {
            readonly ledger: components["schemas"]["LedgerView"];
            readonly taint: string;
            readonly stop: ("edges" | "hops" | "origin" | "service" | "too-many-moves") | null;
        };
        /**
         * LedgerView
         * @description An account's holding of an asset; `lock` is the place of the lock that it is in, null outside of locks.
         */
        readonly LedgerView: {
            readonly account: string;
            readonly asset: string;
            readonly lock: string | null;
            readonly entity: string | null;
            readonly categories: readonly string[];
        };
        /**
         * FlowView
         * @description A movement that carries traced value. `swap`: the swap whose two chains it crosses.
         */
        readonly FlowView: {
            readonly time_s: number;
            readonly chain: string;
            readonly height: number;
            readonly index: number;
            readonly tx_hash: string;
            readonly sent: components["schemas"]["LedgerView"] | null;
            readonly received: components["schemas"]["LedgerView"] | null;
            readonly amount: components["schemas"]["AmountView"];
            readonly taint: string;
            readonly swap: string | null;
        };
        /**
         * CrossingView
         * @description A claimed lock that no agreed terms join, and claimed locks of other chains under its hashlock: value may have
         *         crossed there. The trace does not take it to have.
         */
        readonly CrossingView: {
            readonly lock: string;
            readonly hashlock: string;
            readonly others: readonly string[];
        };
        /**
         * KeysAnswer
         * @description A JSON Web Key Set (RFC 7517), empty if answers are not signed.
         */
        readonly KeysAnswer: {
            readonly keys: readonly components["schemas"]["KeyView"][];
        };
        /**
         * KeyView
         * @description A public key as a JSON Web Key (RFC 8037).
         */
        readonly KeyView: {
            readonly kty: string;
            readonly crv: string;
            readonly x: string;
            readonly kid: string;
            readonly use: string;
            readonly alg: string;
        };
        /** ReadyAnswer */
        readonly ReadyAnswer: {
            readonly ready: boolean;
            readonly chains: {
                readonly [key: string]: string;
            };
        };
        /**
         * Health
         * @description `details` says of each part how it is: an operator's first look.
         */
        readonly Health: {
            readonly ok: boolean;
            readonly details: Record<string, never>;
        };
        /**
         * ProofView
         * @description The proof of the answer around it: `causeway verify` reads both together. `rows` are what figures are computed
         *         from. `claims` are all that chains could prove, `unproven` says what else no proof shows.
         */
        readonly ProofView: {
            /** @enum {unknown} */
            readonly kind: "answer";
            /** @enum {unknown} */
            readonly version: 1;
            readonly route: string;
            readonly path: string;
            readonly rows: readonly (readonly (string | number | null)[])[] | null;
            readonly bundles: readonly components["schemas"]["RestView"][];
            readonly evidence: readonly components["schemas"]["EvidenceFile"][];
            readonly claims: readonly components["schemas"]["ClaimView"][];
            readonly unproven: readonly string[];
            readonly digest: string;
        };
        /**
         * RestView
         * @description A bundle that a part of the answer follows from, or the reason why there is none.
         */
        readonly RestView: {
            readonly at: string;
            readonly bundle: Record<string, never> | null;
            readonly reason: string | null;
        };
        /**
         * ClaimView
         * @description Something that the answer says, at a JSON pointer into it: the place of the evidence that shows it, counted from
         *         0, or the reason why none does.
         */
        readonly ClaimView: {
            readonly at: string;
            readonly evidence: number | null;
            readonly reason: string | null;
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
    readonly get_v1_chains: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
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
                    readonly "application/json": components["schemas"]["ChainsAnswer"];
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
    readonly get_v1_swaps_id_evidence: {
        readonly parameters: {
            readonly query?: {
                readonly leg?: "initiator" | "participant";
            };
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
                    readonly "application/json": components["schemas"]["EvidenceAnswer"] | components["schemas"]["EvidenceFile"];
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
    readonly get_v1_assets: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description Printable ASCII, no spaces. */
                readonly chain?: string;
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
                    readonly "application/json": components["schemas"]["AssetsPage"];
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
    readonly get_v1_contracts: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description Printable ASCII, no spaces. */
                readonly chain?: string;
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
                    readonly "application/json": components["schemas"]["ContractsPage"];
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
    readonly get_v1_assets_asset_conservation: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                readonly finality?: "finalized" | "latest";
            };
            readonly header?: never;
            readonly path: {
                readonly asset: string;
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
                    readonly "application/json": components["schemas"]["ConservationAnswer"];
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
    readonly get_v1_summary: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
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
                    readonly "application/json": components["schemas"]["SummaryAnswer"];
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
    readonly post_v1_agreements: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["AgreementBody"];
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
                    readonly "application/json": components["schemas"]["AgreementAnswer"];
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
    readonly get_v1_audit: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description Printable ASCII, no spaces. */
                readonly who?: string;
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
                    readonly "application/json": components["schemas"]["AuditPage"];
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
    readonly get_v1_lists: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description A word for programs. */
                readonly list?: string;
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
                    readonly "application/json": components["schemas"]["ListsPage"];
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
    readonly get_v1_lists_version_changes: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
            };
            readonly header?: never;
            readonly path: {
                readonly version: string;
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
                    readonly "application/json": components["schemas"]["ChangesPage"];
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
    readonly get_v1_tags: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description Printable ASCII, no spaces. */
                readonly account?: string;
                /** @description A word for programs. */
                readonly category?: string;
                /** @description A word for programs. */
                readonly entity?: string;
                /** @description A word for programs. */
                readonly list?: string;
                /** @description Unix seconds. */
                readonly at_s?: number;
                /** @description A label version. */
                readonly version?: number;
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
                    readonly "application/json": components["schemas"]["TagsPage"];
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
    readonly post_v1_tags: {
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
                readonly "application/json": components["schemas"]["TagBody"];
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
                    readonly "application/json": components["schemas"]["ListVersionView"];
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
    readonly get_v1_entities: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description A label version. */
                readonly version?: number;
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
                    readonly "application/json": components["schemas"]["EntitiesPage"];
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
    readonly post_v1_entities: {
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
                readonly "application/json": components["schemas"]["EntityBody"];
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
                    readonly "application/json": components["schemas"]["ListVersionView"];
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
    readonly get_v1_entities_id: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description A label version. */
                readonly version?: number;
            };
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
                    readonly "application/json": components["schemas"]["EntityAnswer"];
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
    readonly get_v1_alerts: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                readonly typology?: "accumulation" | "chain_hopping" | "dispersal" | "dormant" | "mixer" | "new_account" | "pass_through" | "peel_chain" | "round_trip" | "sanctions" | "sanctions_indirect" | "structuring" | "velocity";
                /** @description A rule's id. */
                readonly rule?: string;
                /** @description An account (CAIP-10), or the id of an entity. */
                readonly subject?: string;
                /** @description Unix seconds. */
                readonly since_s?: number;
                /** @description Unix seconds. */
                readonly until_s?: number;
                readonly withdrawn?: boolean;
                /** @description An ISO 3166 code. */
                readonly jurisdiction?: string;
                readonly after_change?: number;
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
                    readonly "application/json": components["schemas"]["AlertsPage"];
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
    readonly get_v1_alerts_id: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
            };
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
                    readonly "application/json": components["schemas"]["AlertAnswer"];
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
    readonly get_v1_alerts_id_bundle: {
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
                    readonly "application/json": components["schemas"]["BundleAnswer"];
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
    readonly get_v1_rules: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
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
                    readonly "application/json": components["schemas"]["RulesAnswer"];
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
    readonly post_v1_rules: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["RuleBody"];
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
                    readonly "application/json": components["schemas"]["RuleView"];
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
    readonly get_v1_rules_id: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
            };
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
                    readonly "application/json": components["schemas"]["RuleView"];
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
    readonly post_v1_rules_id_dry_run: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["DryRunBody"];
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
                    readonly "application/json": components["schemas"]["DryRunAnswer"];
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
    readonly post_v1_rules_id_activate: {
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
                    readonly "application/json": components["schemas"]["RuleView"];
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
    readonly post_v1_rules_id_reject: {
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
                    readonly "application/json": components["schemas"]["RuleView"];
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
    readonly get_v1_rates: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description Printable ASCII, no spaces. */
                readonly asset?: string;
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
                    readonly "application/json": components["schemas"]["RatesPage"];
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
    readonly get_v1_cases: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                readonly status?: "closed" | "closing" | "open";
                readonly assignee?: string;
                /** @description An ISO 3166 code. */
                readonly jurisdiction?: string;
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
                    readonly "application/json": components["schemas"]["CasesPage"];
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
    readonly post_v1_cases: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["CaseBody"];
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
                    readonly "application/json": components["schemas"]["CaseView"];
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
    readonly get_v1_cases_id: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
            };
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
                    readonly "application/json": components["schemas"]["CaseDocument"];
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
    readonly get_v1_cases_id_export: {
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
                    readonly "application/json": components["schemas"]["CaseDocument"];
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
    readonly post_v1_cases_id_notes: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["NoteBody"];
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
                    readonly "application/json": components["schemas"]["CaseView"];
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
    readonly post_v1_cases_id_assign: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["AssignBody"];
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
                    readonly "application/json": components["schemas"]["CaseView"];
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
    readonly post_v1_cases_id_attach: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["AttachBody"];
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
                    readonly "application/json": components["schemas"]["CaseView"];
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
    readonly post_v1_cases_id_close: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["CloseBody"];
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
                    readonly "application/json": components["schemas"]["CaseView"];
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
    readonly post_v1_cases_id_reopen: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly id: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["ReopenBody"];
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
                    readonly "application/json": components["schemas"]["CaseView"];
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
    readonly get_v1_orders: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description Printable ASCII, no spaces. */
                readonly chain?: string;
                /** @description Printable ASCII, no spaces. */
                readonly account?: string;
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
                    readonly "application/json": components["schemas"]["OrdersAnswer"];
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
    readonly post_v1_orders: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["PrepareBody"];
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
                    readonly "application/json": components["schemas"]["OrderDraft"];
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
    readonly get_v1_orders_number: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Printable ASCII, no spaces. */
                readonly chain?: string;
            };
            readonly header?: never;
            readonly path: {
                readonly number: string;
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
                    readonly "application/json": components["schemas"]["OrderBody"];
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
    readonly get_v1_holds_account: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
            };
            readonly header?: never;
            readonly path: {
                readonly account: string;
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
                    readonly "application/json": components["schemas"]["HoldAnswer"];
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
    readonly get_v1_holds_account_history: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
            };
            readonly header?: never;
            readonly path: {
                readonly account: string;
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
                    readonly "application/json": components["schemas"]["HoldHistory"];
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
    readonly get_v1_holds_account_evidence: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly account: string;
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
                    readonly "application/json": components["schemas"]["EvidenceFile"];
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
    readonly post_v1_orders_number_approval: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly number: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["ApprovalBody"];
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
                    readonly "application/json": components["schemas"]["OrderDraft"];
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
    readonly post_v1_orders_number_lift: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path: {
                readonly number: string;
            };
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["LiftBody"];
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
                    readonly "application/json": components["schemas"]["OrderDraft"];
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
    readonly get_v1_assets_asset_supply: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
            };
            readonly header?: never;
            readonly path: {
                readonly asset: string;
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
                    readonly "application/json": components["schemas"]["SupplyAnswer"];
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
    readonly get_v1_assets_asset_concentration: {
        readonly parameters: {
            readonly query?: {
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description The largest holders that are named. */
                readonly top?: number;
                readonly evidence?: boolean;
            };
            readonly header?: never;
            readonly path: {
                readonly asset: string;
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
                    readonly "application/json": components["schemas"]["ConcentrationAnswer"];
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
    readonly get_v1_assets_asset_series: {
        readonly parameters: {
            readonly query?: {
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description Unix seconds. */
                readonly since_s?: number;
                /** @description Unix seconds. */
                readonly until_s?: number;
                /** @description An ISO 3166 code. */
                readonly jurisdiction?: string;
                readonly evidence?: boolean;
                readonly step?: "day" | "hour" | "week";
            };
            readonly header?: never;
            readonly path: {
                readonly asset: string;
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
                    readonly "application/json": components["schemas"]["SeriesAnswer"];
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
    readonly get_v1_corridors: {
        readonly parameters: {
            readonly query?: {
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description Unix seconds. */
                readonly since_s?: number;
                /** @description Unix seconds. */
                readonly until_s?: number;
                /** @description An ISO 3166 code. */
                readonly jurisdiction?: string;
                readonly evidence?: boolean;
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
                    readonly "application/json": components["schemas"]["CorridorsAnswer"];
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
    readonly get_v1_records: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description Printable ASCII, no spaces. */
                readonly chain?: string;
                readonly namespace?: string;
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
                    readonly "application/json": components["schemas"]["RecordsPage"];
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
    readonly get_v1_records_chain_namespace_key: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
            };
            readonly header?: never;
            readonly path: {
                readonly chain: string;
                readonly namespace: string;
                readonly key: string;
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
                    readonly "application/json": components["schemas"]["RecordsPage"];
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
    readonly get_v1_transfers: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description Printable ASCII, no spaces. */
                readonly chain?: string;
                /** @description Printable ASCII, no spaces. */
                readonly asset?: string;
                /** @description Printable ASCII, no spaces. */
                readonly account?: string;
                /** @description Printable ASCII, no spaces. */
                readonly counterparty?: string;
                /** @description 32 bytes in hex. */
                readonly tx?: string;
                /** @description Unix seconds. */
                readonly since_s?: number;
                /** @description Unix seconds. */
                readonly until_s?: number;
                /** @description Base units, a decimal integer. */
                readonly min_amount?: string;
                /** @description Base units, a decimal integer. */
                readonly max_amount?: string;
                /** @description An ISO 3166 code. */
                readonly jurisdiction?: string;
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
                    readonly "application/json": components["schemas"]["TransfersPage"];
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
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description Printable ASCII, no spaces. */
                readonly chain?: string;
                /** @description Printable ASCII, no spaces. */
                readonly asset?: string;
                readonly status?: "agreed" | "claimed" | "initiator-locked" | "locked" | "one-sided" | "participant-locked" | "refunded" | "refunding" | "revealed" | "unjoined";
                /** @description 32 bytes in hex. */
                readonly hashlock?: string;
                /** @description Printable ASCII, no spaces. */
                readonly account?: string;
                /** @description Unix seconds. */
                readonly since_s?: number;
                /** @description Unix seconds. */
                readonly until_s?: number;
                /** @description An ISO 3166 code. */
                readonly jurisdiction?: string;
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
                    readonly "application/json": components["schemas"]["SwapsPage"];
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
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
            };
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
                    readonly "application/json": components["schemas"]["SwapDocument"];
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
    readonly get_v1_search: {
        readonly parameters: {
            readonly query: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                readonly q: string;
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
                    readonly "application/json": components["schemas"]["SearchAnswer"];
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
    readonly get_v1_accounts_account: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
            };
            readonly header?: never;
            readonly path: {
                readonly account: string;
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
                    readonly "application/json": components["schemas"]["ProfileAnswer"];
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
    readonly get_v1_accounts_account_moves: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
            };
            readonly header?: never;
            readonly path: {
                readonly account: string;
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
                    readonly "application/json": components["schemas"]["MovesPage"];
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
    readonly get_v1_accounts_account_counterparties: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description Unix seconds. */
                readonly since_s?: number;
                /** @description Unix seconds. */
                readonly until_s?: number;
                readonly limit?: number;
            };
            readonly header?: never;
            readonly path: {
                readonly account: string;
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
                    readonly "application/json": components["schemas"]["PartnersAnswer"];
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
    readonly get_v1_entities_id_holdings: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
            };
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
                    readonly "application/json": components["schemas"]["HoldingsAnswer"];
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
    readonly get_v1_activity: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description latest, finalized, or <chain>@<height>, joined by commas: chains not named are as finalized. */
                readonly as_of?: string;
                /** @description Label version: what was known of accounts then. Default: newest. */
                readonly labels?: number;
                /** @description Unix seconds. */
                readonly since_s?: number;
                /** @description Unix seconds. */
                readonly until_s?: number;
                /** @description An ISO 3166 code. */
                readonly jurisdiction?: string;
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
                    readonly "application/json": components["schemas"]["ActivityAnswer"];
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
    readonly get_v1_accounts_account_evidence: {
        readonly parameters: {
            readonly query: {
                /** @description Printable ASCII, no spaces. */
                readonly asset: string;
            };
            readonly header?: never;
            readonly path: {
                readonly account: string;
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
                    readonly "application/json": components["schemas"]["EvidenceFile"];
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
    readonly get_v1_accounts_account_locks_evidence: {
        readonly parameters: {
            readonly query?: {
                readonly first?: number;
                readonly last?: number;
            };
            readonly header?: never;
            readonly path: {
                readonly account: string;
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
                    readonly "application/json": components["schemas"]["EvidenceFile"];
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
    readonly get_v1_records_chain_namespace_key_evidence: {
        readonly parameters: {
            readonly query?: {
                readonly first?: number;
                readonly last?: number;
            };
            readonly header?: never;
            readonly path: {
                readonly chain: string;
                readonly namespace: string;
                readonly key: string;
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
                    readonly "application/json": components["schemas"]["EvidenceFile"];
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
    readonly get_v1_transfers_evidence: {
        readonly parameters: {
            readonly query: {
                /** @description Printable ASCII, no spaces. */
                readonly chain: string;
                /** @description 32 bytes in hex. */
                readonly tx: string;
                readonly log?: number;
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
                    readonly "application/json": components["schemas"]["EvidenceFile"];
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
    readonly post_v1_exports: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["ExportBody"];
            };
        };
        readonly responses: {
            /** @description Accepted */
            readonly 202: {
                headers: {
                    /** @description The call in the service's log; the caller's own if it sent a good one. */
                    readonly "X-Request-Id"?: string;
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["ExportAnswer"];
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
    readonly get_v1_exports_id: {
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
                    readonly "application/json": components["schemas"]["ExportAnswer"];
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
    readonly get_v1_exports_id_file: {
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
    readonly get_v1_me: {
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
                    readonly "application/json": components["schemas"]["MeAnswer"];
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
    readonly get_v1_travel_rule: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
                /** @description Rows of a page. */
                readonly limit?: number;
                /** @description `next` of the page before, as it was given. */
                readonly cursor?: string;
                /** @description Printable ASCII, no spaces. */
                readonly account?: string;
                /** @description Printable ASCII, no spaces. */
                readonly transfer?: string;
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
                    readonly "application/json": components["schemas"]["TravelPage"];
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
    readonly post_v1_travel_rule: {
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
                readonly "application/json": components["schemas"]["TravelBody"];
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
                    readonly "application/json": components["schemas"]["TravelMade"];
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
    readonly get_v1_travel_rule_id_identities: {
        readonly parameters: {
            readonly query?: {
                /** @description Prove the answer: its member `proof`. Needs the scope evidence. */
                readonly evidence?: boolean;
            };
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
                    readonly "application/json": components["schemas"]["TravelIdentities"];
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
    readonly post_v1_traces: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["TraceBody"];
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
                    readonly "application/json": components["schemas"]["TraceAnswer"];
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
    readonly get_v1_traces_id: {
        readonly parameters: {
            readonly query?: {
                readonly evidence?: boolean;
            };
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
                    readonly "application/json": components["schemas"]["TraceAnswer"];
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
    readonly get_v1_keys: {
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
                    readonly "application/json": components["schemas"]["KeysAnswer"];
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
    readonly get_v1_stream_events: {
        readonly parameters: {
            readonly query?: {
                /** @description The number that the stream goes on behind. */
                readonly after?: number;
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
    readonly get_v1_stream_swaps: {
        readonly parameters: {
            readonly query?: {
                /** @description The number that the stream goes on behind. */
                readonly after?: number;
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
    readonly get_v1_stream_alerts: {
        readonly parameters: {
            readonly query?: {
                /** @description The number that the stream goes on behind. */
                readonly after?: number;
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
}
