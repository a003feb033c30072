/** What open swaps keep of our accounts until they are done, and whether a lock leaves enough: the formula of `relayer/inventory.py`. */
import type { Costs } from "../chains/port.js";
import { unavailable } from "../errors.js";
import type { SwapRecord } from "./record.js";
import { chainOf } from "./identifiers.js";

/** What a swap draws on. `locks`: it has yet to lock `amount` base units of `asset`; `chains`: on these it keeps gas for an exit. */
export interface Promised {
  readonly chains: readonly string[];
  readonly asset: string;
  readonly amount: bigint;
  readonly locks: boolean;
}

/** What a lock and an exit may cost on each chain; of one on which transactions cost nothing there is none. */
export type ChainCosts = Readonly<Record<string, Pick<Costs, "asset" | "exit"> | undefined>>;

/**
 * Throws an `unaffordable` error while our balances (`held`, base units by asset) do not cover our lock, its own cost (`locking`, base
 * units by asset), an exit on both chains of the swap, and what `others` keep.
 */
export function checkFree(others: readonly Promised[], mine: Promised, costs: ChainCosts, locking: Readonly<Record<string, bigint>>, held: Readonly<Record<string, bigint>>): void {
  const taken = new Map<string, bigint>();
  for (const one of others) {
    if (one.locks) add(taken, one.asset, one.amount);
    for (const chain of one.chains) exit(taken, chain, costs);
    // As much again as for an exit: which asset it locks is not asked.
    if (one.locks && one.chains.includes(chainOf(one.asset))) exit(taken, chainOf(one.asset), costs);
  }
  const wanted = new Map<string, bigint>();
  add(wanted, mine.asset, mine.amount);
  for (const chain of mine.chains) exit(wanted, chain, costs);
  for (const [asset, units] of Object.entries(locking)) add(wanted, asset, units);
  for (const [asset, units] of wanted) {
    const [has, kept] = [held[asset] ?? 0n, taken.get(asset) ?? 0n];
    if (has - kept < units) throw unavailable(`our account holds ${has} of ${asset}, this swap needs ${units} with the fees of its exits, ${kept} are kept for other open swaps: send it some`, "unaffordable");
  }
}

const add = (sums: Map<string, bigint>, asset: string, units: bigint): Map<string, bigint> => sums.set(asset, (sums.get(asset) ?? 0n) + units);

function exit(sums: Map<string, bigint>, chain: string, costs: ChainCosts): void {
  const cost = costs[chain];
  if (cost !== undefined) add(sums, cost.asset, cost.exit);
}

/** What `other` keeps of our accounts while `mine` is about to lock; undefined if nothing. `accounts` are ours, by chain. */
export function promisedBy(other: SwapRecord, mine: SwapRecord, accounts: ReadonlyMap<string, string>, nowS: number): Promised | undefined {
  const { ours, theirs } = other;
  if (ours === undefined || theirs === undefined || other.key === mine.key || other.stage === "done" || other.stage === "opening") return undefined;
  const begun = other.stage !== "agreed" && (other.stage !== "locking" || other.lockTries !== undefined);
  // One that asked its wallet for nothing yet counts if it may still do so, and comes first: of two that wait for each other, one goes on.
  const waits = other.restored === true ? undefined : other.calledOff === undefined && nowS <= (other.lockDeadline ?? 0) && comesBefore(other, mine);
  if (!begun && waits === false) return undefined;
  const isOurs = accounts.get(ours.chain) === ours.sender;
  const locks = isOurs && other.restored !== true && ["agreed", "locking"].includes(other.stage);
  return { chains: [...(isOurs ? [ours.chain] : []), theirs.chain], asset: ours.asset, amount: BigInt(ours.amount), locks };
}

const comesBefore = (one: SwapRecord, other: SwapRecord): boolean => (one.createdS === other.createdS ? one.key < other.key : one.createdS < other.createdS);
