/** Swapping as the initiator, from a quote to an outcome. */
import { equal, fromHex, sha256, toHex } from "../evidence/bytes.js";
import { account, asset, chainOf } from "./identifiers.js";
import { RelayerApi } from "../api/relayer.js";
import type { Fetch } from "../chains/endpoints.js";
import type { SwapChain } from "../chains/port.js";
import { CausewayError, rejected } from "../errors.js";
import { type Limits, agreed } from "./agreement.js";
import { Finality } from "./finality.js";
import { type Promised, promisedBy } from "./purse.js";
import { type QuoteBody, type QuoteRequest, checkQuote, quoteBytes, verifyQuote } from "./quote.js";
import type { Alarm, SwapRecord, SwapStore } from "./record.js";
import { type Hook, step } from "./steps.js";
import { type TermsBody, hex, termsBody } from "./terms.js";
import { PRODUCTION_POLICY, type SwapPolicy } from "./timelocks.js";

const DAY_S = 24 * 3600;
const MAX_LOCK_S = 14 * DAY_S;
const TIMELOCK_SLACK_S = 30;
const LOOK_MS = 1_000;
const MOST_BACKOFF_MS = 30_000;
const OPEN_TRIES = 3;

export interface SwapClientOptions {
  /** The relayer's address, and the ed25519 key that signs its quotes (32 bytes in 0x-hex), learnt by another way. */
  readonly relayer: string;
  readonly relayerKey: string;
  readonly chains: readonly SwapChain[];
  readonly store: SwapStore;
  readonly policy?: SwapPolicy;
  /** How long our money may be locked at most, in seconds. */
  readonly maxLockS?: number;
  /** Go into no swap for which the relayer keeps nothing until our lock. */
  readonly reservedOnly?: boolean;
  readonly fetch?: Fetch;
  /** True time in Unix seconds; the device's clock by default. */
  readonly nowS?: () => number;
}

/** A swap as its owner sees it; without the preimage. */
export interface SwapView {
  readonly key: string;
  readonly id: string | undefined;
  readonly stage: SwapRecord["stage"];
  readonly result: SwapRecord["result"];
  readonly quote: QuoteBody;
  readonly calledOff: string | undefined;
  readonly lockTx: string | undefined;
  readonly claimTx: string | undefined;
  readonly refundTx: string | undefined;
  /** Unix seconds from which our lock comes back, by our chain's time, and until which theirs can be claimed. */
  readonly timelocks: { readonly ours: number | undefined; readonly theirs: number | undefined };
  readonly createdS: number;
  /** What both legs commit to, once that is agreed. */
  readonly terms: { readonly ours: TermsBody | undefined; readonly theirs: TermsBody | undefined };
  /** Where the locks are on their chains, as far as that is known. */
  readonly places: { readonly ours: string | undefined; readonly theirs: string | undefined };
  /** A height of the other chain before which the relayer's lock cannot be. */
  readonly since: number | undefined;
  /** The transaction that lets the contract take a token, with what it allows in base units; of a token that needs one. */
  readonly allowance: { readonly tx: string; readonly units: string } | undefined;
  /** It came out of a backup: if another browser has locked since, this client goes on with that lock; it makes none. */
  readonly restored: boolean;
}

export interface Progress extends SwapView {
  /** What has to happen next, or why the last look failed. */
  readonly waitsFor: string | undefined;
}

export interface RunOptions {
  readonly onProgress?: (progress: Progress) => void;
  /** Awaited right before our lock, and right before the reveal; one that throws calls the swap off. */
  readonly beforeLock?: (swap: SwapView) => Promise<void> | void;
  readonly beforeReveal?: (swap: SwapView) => Promise<void> | void;
  /** Stops the waiting, not the swap: what was begun goes on with the next `run`. */
  readonly signal?: AbortSignal;
}

export class SwapClient {
  private readonly api: RelayerApi;
  private readonly chains: ReadonlyMap<string, SwapChain>;
  private readonly limits: Limits;
  private readonly nowS: () => number;
  private readonly finality: Finality;

  constructor(private readonly options: SwapClientOptions) {
    this.api = new RelayerApi(options.relayer, options.fetch);
    this.chains = new Map(options.chains.map((chain) => [chain.id, chain]));
    this.limits = { policy: options.policy ?? PRODUCTION_POLICY, maxLockS: options.maxLockS ?? MAX_LOCK_S, timelockSlackS: TIMELOCK_SLACK_S };
    this.nowS = options.nowS ?? (() => Math.ceil(Date.now() / 1000));
    this.finality = new Finality(options.store, this.nowS);
  }

  /** A price that was checked: signed by the relayer's key, for what was asked. One of the two amounts, in base units. */
  async quote(request: QuoteRequest): Promise<QuoteBody> {
    if ((request.initiatorAmount === undefined) === (request.participantAmount === undefined)) throw rejected("ask for an initiator amount or for a participant amount, one of the two");
    const quote = await this.api.quote({
      initiator_asset: asset(request.initiatorAsset),
      participant_asset: asset(request.participantAsset),
      ...(request.initiatorAmount === undefined ? {} : { initiator_amount: request.initiatorAmount.toString() }),
      ...(request.participantAmount === undefined ? {} : { participant_amount: request.participantAmount.toString() }),
    });
    checkQuote(request, quote, this.options.relayerKey, this.limits.maxLockS, this.nowS());
    return quote;
  }

  /**
   * Agree: a fresh preimage is stored first, the answer is checked, nothing is locked. The same quote gives the same swap. One out of
   * a backup is asked for as of when it was begun: it may have been agreed on then, and locks nothing here.
   * `receiver` is paid on the other chain, our own account there by default.
   */
  async open(quote: QuoteBody, receiver?: string): Promise<SwapView> {
    const kept = await this.options.store.get(quote.id);
    const asOfS = kept?.restored === true ? kept.createdS : this.nowS();
    verifyQuote(quote, this.options.relayerKey, asOfS);
    const [a, b] = [this.chain(chainOf(quote.initiator_asset)), this.chain(chainOf(quote.participant_asset))];
    const paid = receiver === undefined ? b.account : account(receiver);
    if (chainOf(paid) !== b.id) throw rejected(`${paid} is not an account on ${b.id}`);
    return this.options.store.exclusive(quote.id, async () => {
      const known = await this.options.store.get(quote.id);
      // A quote's name is the relayer's choice: by one that it gave before, an older price would be agreed on, and locked.
      if (known !== undefined && !equal(quoteBytes(known.quote), quoteBytes(quote))) throw rejected("the relayer gave this quote the name of another one: ask for a new quote");
      if (known !== undefined && known.stage !== "opening") return viewOf(known);
      await Promise.all([a.checkEndpoints(), b.checkEndpoints()]);
      await this.finality.glance([a, b]);
      const record = known ?? { ...fresh(quote, this.nowS()), oursSince: (await a.head("finalized")).height, since: (await b.head("finalized")).height };
      if (known === undefined) await this.options.store.put(record);
      return viewOf(await this.agree(record, a, b, paid, asOfS));
    });
  }

  /**
   * Forget a swap for which nothing was agreed, so that nothing can be locked. Throws for any other, and for one out of a backup: the
   * other browser may have agreed and locked since, and its preimage may be here alone.
   */
  async forget(key: string): Promise<void> {
    await this.options.store.exclusive(key, async () => {
      const known = await this.found(key);
      if (known.stage !== "opening") throw rejected("this swap was agreed on: it is kept");
      if (known.restored === true) throw rejected("another browser may have agreed on this swap since the backup: it is kept");
      await this.options.store.remove(key);
    });
  }

  private async agree(record: SwapRecord, a: SwapChain, b: SwapChain, receiver: string, nowS: number): Promise<SwapRecord> {
    const { quote } = record;
    const hashlock = sha256(fromHex(record.preimage));
    const proof = await a.proveFunds(quote, hashlock, receiver);
    const call = { quote, hashlock: hex(hashlock), initiator_sender: a.account, initiator_receiver: receiver, proof };
    const answer = await tried(OPEN_TRIES, () => this.api.openSwap(call));
    const timings = Object.fromEntries([a, b].map((chain) => [chain.id, chain.timing]));
    const agreement = agreed(quote, hashlock, a.account, receiver, answer, timings, this.limits, nowS);
    if (this.options.reservedOnly === true && answer.reserved !== true) throw rejected(`the relayer keeps nothing for this swap: ${answer.reservation ?? "it does not say why"}`, "not-reserved");
    const made: SwapRecord = {
      ...record, stage: "agreed", swapId: agreement.id, ours: termsBody(agreement.ours), theirs: termsBody(agreement.theirs), lockDeadline: agreement.lockDeadline,
    };
    await this.options.store.put(made);
    return made;
  }

  /** Carry the swap from where it is to its end, over chains that fail meanwhile. Throws if the wallet's owner declines a claim or a refund; run it again then. */
  async run(key: string, options: RunOptions = {}): Promise<SwapView> {
    return this.options.store.exclusive(key, () => this.carryOn(key, options));
  }

  private async carryOn(key: string, options: RunOptions): Promise<SwapView> {
    const { store } = this.options;
    let record = await this.found(key);
    const save = async (one: SwapRecord): Promise<void> => {
      await store.put(one);
      record = one;
    };
    if (record.stage === "opening") throw rejected("nothing was agreed on for this quote: open it again");
    const [a, b] = [this.chain(chainOf(record.quote.initiator_asset)), this.chain(chainOf(record.quote.participant_asset))];
    if (record.ours?.sender !== a.account) throw rejected(`this swap was begun with ${record.ours?.sender ?? "another account"}: open its wallet`);
    const setting = {
      a, b, policy: this.limits.policy, nowS: this.nowS, save, taken: () => this.taken(key), allowed: (asset: string) => this.allowed(key, asset),
      promised: (mine: SwapRecord) => this.promised(mine), steady: (again?: boolean) => this.finality.check([a, b], again),
      beforeLock: onView(options.beforeLock), beforeReveal: onView(options.beforeReveal),
    };
    let [failures, shown] = [0, ""];
    const show = (waitsFor: string | undefined): void => {
      const progress: Progress = { ...viewOf(record), waitsFor };
      const text = JSON.stringify(progress);
      if (text === shown) return;
      shown = text;
      try {
        options.onProgress?.(progress);
      } catch (error) {
        // Whoever watches holds up no claim.
        globalThis.reportError?.(error);
      }
    };
    show(undefined);
    while (record.stage !== "done") {
      options.signal?.throwIfAborted();
      let waitsFor: string | undefined;
      try {
        if (!isExit(record)) await this.finality.glance([a, b]);
        const made = await step(record, setting);
        failures = 0;
        [record, waitsFor] = [made.record, made.waitsFor];
      } catch (error) {
        // What was saved last is still known here, even if the store has lost it: then it is written again.
        if ((error as { code?: unknown }).code === "declined" || !(isExit(record) || (error instanceof CausewayError && error.retryable))) throw error;
        failures += 1;
        waitsFor = `another look: ${error instanceof Error ? error.message : String(error)}`;
      }
      show(waitsFor);
      if (waitsFor !== undefined) await slept(Math.min(LOOK_MS * 2 ** Math.min(failures, 6), MOST_BACKOFF_MS), options.signal);
    }
    return viewOf(record);
  }

  /** From now on neither lock nor reveal; what is locked comes back after its timelock. Not while `run` works on it; after a reveal it changes nothing. */
  async cancel(key: string, reason = "cancelled by its owner"): Promise<SwapView> {
    return this.options.store.exclusive(key, async () => {
      const known = await this.found(key);
      if (known.calledOff !== undefined || known.stage === "done" || (isExit(known) && known.claimTries !== 0)) return viewOf(known);
      const record: SwapRecord = { ...known, stage: isExit(known) ? "locked" : known.stage, calledOff: reason };
      await this.options.store.put(record);
      return viewOf(record);
    });
  }

  /**
   * Final blocks that were seen to be replaced by others, by chain. Until that is acknowledged, nothing is locked or revealed in a swap with
   * one of these chains; claims and refunds go on.
   */
  async alarms(): Promise<ReadonlyMap<string, Alarm>> {
    const kept = await Promise.all([...this.chains.keys()].map(async (id) => [id, (await this.options.store.remember(id))?.alarm] as const));
    return new Map(kept.flatMap(([id, alarm]) => (alarm === undefined ? [] : [[id, alarm] as const])));
  }

  /**
   * The owner has looked into what was replaced on this chain, or why its nodes show less than before: then what was final is forgotten.
   * False if there was no alarm.
   */
  async acknowledge(chain: string): Promise<boolean> {
    let open = false;
    await this.options.store.remember(chain, (known) => ({ final: (open = known?.alarm !== undefined) ? (known?.final ?? []) : [] }));
    return open;
  }

  async swap(key: string): Promise<SwapView> {
    return viewOf(await this.found(key));
  }

  /** Every swap of this store, the newest first. Those that are not `done` go on with `run`. */
  async swaps(): Promise<SwapView[]> {
    return (await this.options.store.all()).sort((one, other) => other.createdS - one.createdS).map(viewOf);
  }

  private async taken(key: string): Promise<string[]> {
    return (await this.options.store.all()).filter((one) => one.key !== key && one.stage === "locking").flatMap((one) => one.place ?? []);
  }

  /** What others of our swaps were allowed and have not sent a lock for: what was sent is included before what is sent from now on. */
  private async allowed(key: string, asset: string): Promise<bigint> {
    const others = (await this.options.store.all()).filter((one) => one.key !== key && one.approval !== undefined && one.lockSent === undefined);
    return others.filter((one) => ["agreed", "locking"].includes(one.stage) && one.ours?.asset === asset).reduce((sum, one) => sum + BigInt(one.ours?.amount ?? 0), 0n);
  }

  private async promised(mine: SwapRecord): Promise<Promised[]> {
    const accounts = new Map([...this.chains.values()].map((chain) => [chain.id, chain.account]));
    return (await this.options.store.all()).flatMap((one) => promisedBy(one, mine, accounts, this.nowS()) ?? []);
  }

  private async found(key: string): Promise<SwapRecord> {
    const record = await this.options.store.get(key);
    if (record === undefined) throw rejected("this client has no such swap", "not-found");
    return record;
  }

  private chain(id: string): SwapChain {
    const found = this.chains.get(id);
    if (found === undefined) throw rejected(`this client does not know ${id}: configure it`);
    return found;
  }
}

function fresh(quote: QuoteBody, nowS: number): SwapRecord {
  const preimage = crypto.getRandomValues(new Uint8Array(32));
  return { version: 1, key: quote.id, createdS: nowS, quote, preimage: toHex(preimage), stage: "opening" };
}

function viewOf(record: SwapRecord): SwapView {
  return {
    key: record.key, id: record.swapId, stage: record.stage, result: record.result, quote: record.quote, calledOff: record.calledOff,
    lockTx: record.lockSent?.hash || undefined, claimTx: record.claimSent?.hash || undefined, refundTx: record.refundSent?.hash || undefined,
    timelocks: { ours: record.ours?.timelock, theirs: record.theirs?.timelock }, createdS: record.createdS,
    terms: { ours: record.ours, theirs: record.theirs }, places: { ours: record.place, theirs: record.theirPlace }, since: record.since,
    allowance: record.approval === undefined ? undefined : { tx: record.approval.hash, units: record.approval.allows }, restored: record.restored === true,
  };
}

/** Claims and refunds are tried until they are settled, whatever a chain refuses meanwhile. */
const isExit = (record: SwapRecord): boolean => record.stage === "revealing" || record.stage === "refunding";

/** A hook is asked once in a run, however often its step is tried. */
function onView(hook: ((swap: SwapView) => Promise<void> | void) | undefined): Hook | undefined {
  let answer: Promise<void> | undefined;
  return hook === undefined ? undefined : (record) => (answer ??= Promise.resolve(viewOf(record)).then(hook));
}

async function tried<T>(times: number, work: () => Promise<T>): Promise<T> {
  for (let left = times; ; left--) {
    try {
      return await work();
    } catch (error) {
      if (left <= 1 || !(error instanceof CausewayError) || !error.retryable) throw error;
      await slept(LOOK_MS, undefined);
    }
  }
}

function slept(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
