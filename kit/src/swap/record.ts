/** A swap as it is kept, from the preimage to the outcome. Plain JSON: whoever has it has the preimage, so stores encrypt it. */
import type { Allowance, Sent } from "../chains/port.js";
import type { QuoteBody } from "./quote.js";
import type { TermsBody } from "./terms.js";

/**
 * opening    the preimage is stored, nothing is agreed
 * agreed     both sides know the terms, nothing is locked
 * locking    the place of our lock is written down: from here on it may exist
 * locked     our lock is final; we wait for theirs
 * revealing  the preimage has to be taken for public, unless `claimTries` is 0: claim until it is settled
 * refunding  our timelock has passed: take our lock back
 * done       nothing will follow; see `result`
 */
export type Stage = "opening" | "agreed" | "locking" | "locked" | "revealing" | "refunding" | "done";

/** `lost`: the other side was paid and we were not, which takes a device that was off beyond its allowance. */
export type Result = "completed" | "refunded" | "abandoned" | "lost";

export interface SwapRecord {
  readonly version: 1;
  /** The quote's id, by which the store knows the swap before there is an agreement. */
  readonly key: string;
  readonly createdS: number;
  readonly quote: QuoteBody;
  /** 32 bytes in hex. */
  readonly preimage: string;
  readonly stage: Stage;
  readonly swapId?: string;
  readonly ours?: TermsBody;
  readonly theirs?: TermsBody;
  readonly lockDeadline?: number;
  /** The other chain's final height when we began: their lock cannot be before it. */
  readonly since?: number;
  /** Our chain's final height when we began: our lock cannot be before it. */
  readonly oursSince?: number;
  readonly place?: string;
  readonly theirPlace?: string;
  readonly approval?: Allowance;
  /**
   * It came out of a backup that was made before our lock was final: another browser may have locked since. This client looks for that
   * lock, and never makes one.
   */
  readonly restored?: true;
  /** How often the wallet was asked for our lock. */
  readonly lockTries?: number;
  readonly lockSent?: Sent;
  /** How often the wallet was asked for our claim; 0: never, so that nobody has seen the preimage. Without it, somebody may have. */
  readonly claimTries?: number;
  readonly claimSent?: Sent;
  readonly refundSent?: Sent;
  /** How often our refund was sent. */
  readonly refundTries?: number;
  /** Why neither lock nor reveal follows any more. */
  readonly calledOff?: string;
  readonly result?: Result;
}

export interface FinalBlock {
  readonly height: number;
  /** As `SwapChain.blockHash` writes it. */
  readonly hash: string;
}

/** A final block was seen to be replaced, and nobody has acknowledged it. */
export interface Alarm {
  /** The newest final block that is another one now. */
  readonly height: number;
  /** Unix seconds. */
  readonly noticedS: number;
}

/** What a store keeps of a chain: final blocks, the oldest first, and the alarm. */
export interface ChainMemory {
  readonly final: readonly FinalBlock[];
  readonly alarm?: Alarm;
}

/** Keeps swaps durably. `put` returns when the record would survive a crash. */
export interface SwapStore {
  get(key: string): Promise<SwapRecord | undefined>;
  all(): Promise<SwapRecord[]>;
  put(record: SwapRecord): Promise<void>;
  /** Forget a swap for which nothing was agreed, here or elsewhere. */
  remove(key: string): Promise<void>;
  /**
   * What is remembered of a chain (CAIP-2), undefined if nothing is. With `change` it is replaced durably by what that gives, in one step:
   * what others change at the same time is not lost.
   */
  remember(chain: string): Promise<ChainMemory | undefined>;
  remember(chain: string, change: (known: ChainMemory | undefined) => ChainMemory): Promise<ChainMemory>;
  /** Run `work` while nobody else, in whatever tab, works on this swap; throws a retryable error if somebody does. */
  exclusive<T>(key: string, work: () => Promise<T>): Promise<T>;
}
