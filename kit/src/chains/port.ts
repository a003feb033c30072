/** What a swap needs of a chain. Everything read is what more than half of the configured endpoints say. */
import type { Bytes } from "../evidence/bytes.js";
import type { QuoteBody } from "../swap/quote.js";
import type { Terms } from "../swap/terms.js";
import type { ChainTiming } from "../swap/timelocks.js";

export type LockStatus = "absent" | "locked" | "claimed" | "refunded" | "superseded";
export type At = "latest" | "finalized";

export interface Head {
  readonly height: number;
  /** The chain's own time, in Unix seconds: timelocks are judged by it. */
  readonly timeS: number;
}

/** A lock as its chain shows it. `superseded`: settled, and its place was used again since. */
export interface LockFact extends Head {
  readonly status: LockStatus;
  /** The lock is the one with exactly the given terms; false if that cannot be said any more. */
  readonly termsMatch: boolean;
  /** The lock's id on its chain. */
  readonly place: string;
}

/** A transaction that was handed over. The same act again is sent only once this one cannot be included any more. */
export interface Sent {
  /** Empty if the wallet gave none that a node could look up. */
  readonly hash: string;
  /** The signed bytes in hex, for chains on which we sign ourselves. Whoever has those of a claim has the preimage. */
  readonly raw?: string;
  /** The last height at which it may be included, on chains where transactions expire. */
  readonly expiresAtHeight?: number;
  readonly sentAtS: number;
}

/** The sequence of a transaction that waits, and what is offered in its place, in base units per unit of gas. */
export interface Over {
  readonly nonce: number;
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

/** What acting on a chain may cost now, in base units of `asset`, its native coin. */
export interface Costs {
  readonly asset: string;
  /** A lock of the asset that was asked about, at a first bid. */
  readonly lock: bigint;
  /** What is to be kept for one claim or refund, also if the fees rise until then. */
  readonly exit: bigint;
}

/** A transaction that lets the contract of locks take exactly so much of a token. */
export interface Allowance extends Sent {
  /** Base units in decimal; "0" where a token wants its allowance taken back first. */
  readonly allows: string;
}

export interface SwapChain {
  /** CAIP-2 of the chain, and CAIP-10 of our account on it. */
  readonly id: string;
  readonly account: string;
  readonly timing: ChainTiming;
  head(at: At): Promise<Head>;
  /** The hash of the block at this height, in lower-case hex, or undefined if the chain shows none: not yet, or no longer. */
  blockHash(height: number): Promise<string | undefined>;
  /** Throws a `rejected` error that names the node, if one of the configured nodes is of another chain. */
  checkEndpoints(): Promise<void>;
  /** Throws unless the chain's locks are kept by the code that this package knows. */
  checkHolder(): Promise<void>;
  /** A free place for our lock, none of `taken`. Write it down before `lock`. */
  place(terms: Terms, taken: readonly string[]): Promise<string>;
  readLock(terms: Terms, place: string, at: At): Promise<LockFact>;
  /** The lock with these terms as of a final block, or as of the newest one, or undefined. `since`: a height before which it cannot be. */
  findLock(terms: Terms, since: number, at?: At): Promise<LockFact | undefined>;
  /** Throws a retryable error while a claim of these terms could not pay its receiver. No preimage is asked for it. */
  checkPayout(terms: Terms): Promise<void>;
  /** What our account has of an asset, in base units. */
  balance(asset: string): Promise<bigint>;
  /** Undefined on a chain on which transactions cost nothing. */
  costs(asset: string): Promise<Costs | undefined>;
  /** Throws a retryable error while our account could not pay for a claim or a refund of these terms. */
  checkPurse(terms: Terms): Promise<void>;
  /**
   * The allowance that has to go first, or undefined if none has to. `besides`: base units of the same asset that other swaps of ours
   * were allowed and have not locked yet.
   */
  prepare(terms: Terms, besides: bigint): Promise<Allowance | undefined>;
  lock(terms: Terms, place: string): Promise<Sent>;
  /** `tries`: how often it was sent before, each time in vain. `over`: in the place of one that still waits. */
  claim(terms: Terms, place: string, preimage: Bytes, tries: number, over?: Over): Promise<Sent>;
  refund(terms: Terms, place: string, tries: number, over?: Over): Promise<Sent>;
  /**
   * How to take the place of a transaction that has waited too long; undefined while it may wait, and where the wallet sees to that itself.
   * `leftS`: seconds until its deadline, or none.
   */
  outbid(sent: Sent, leftS?: number): Promise<Over | undefined>;
  /** Broadcast the same bytes again, where that is possible. True while the transaction may still be included. */
  isUnderWay(sent: Sent): Promise<boolean>;
  /** Our account's signature over an opening (docs/dapps/api.md, "The proof of funds"). */
  proveFunds(quote: QuoteBody, hashlock: Bytes, receiver: string): Promise<string>;
}
