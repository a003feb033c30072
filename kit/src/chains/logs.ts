/** A contract's events, read in ranges that each node allows: nodes limit the blocks of one `eth_getLogs`, each to its own number. */
import { unavailable } from "../errors.js";
import { type Endpoints, RefusedCall } from "./endpoints.js";

export interface LogFilter {
  readonly address: string;
  readonly topics: readonly (string | readonly string[])[];
}

/** A log as a node sent it, with nothing of it checked. */
export type RawLog = { readonly data?: unknown; readonly topics?: readonly unknown[] };

/** What somebody looks for; walks with different names are different walks. */
export interface Looked<T> {
  readonly name: string;
  counts(value: T): boolean;
}

/** Blocks that are asked for at once, until a node refuses: then half as many. */
const MOST_BLOCKS = 10_000;
const FEWEST_BLOCKS = 10;
/** Questions that one look puts to one node; a later look goes on where this one ended. */
const MAX_LOOKS = 64;
/** So many of the newest blocks are read again by each look: a node behind the chain shows nothing of them, instead of saying so. */
const READ_AGAIN = 500;
/** So many logs of one question to a node are kept, of those that count. */
const MAX_LOGS = 256;
/** Walks that are remembered. */
const MAX_WALKS = 1_024;
const BUSY = /rate limit|too many requests|capacity|credits/i;

interface Walk<T> {
  /** Everything between where the walk began and this height was read. */
  at: number;
  readonly found: Map<string, T>;
}

export class LogReader<T> {
  private readonly most = new Map<string, number>();
  private readonly walks = new Map<string, Walk<T>>();

  /** `read` takes what counts out of a log, each with a name of its own. */
  constructor(
    private readonly endpoints: Endpoints,
    private readonly read: (log: RawLog) => readonly (readonly [name: string, value: T])[],
  ) {}

  /**
   * What the logs from block `from` up to block `to` say, both included, as one node shows them: the oldest first, in at most 64
   * questions. Anybody may copy a hashlock: `looked` says what counts. `complete`: that was all of it. What was read stays read, but
   * for the newest blocks, so that asking again goes on.
   */
  async upward(url: string, filter: LogFilter, from: number, to: number, looked: Looked<T>): Promise<{ readonly found: readonly T[]; readonly complete: boolean }> {
    const walk = this.walk(`up ${url} ${JSON.stringify(filter)} ${from} ${looked.name}`, from);
    let next = walk.at;
    for (let looks = 0; next <= to && looks < MAX_LOOKS; looks += 1) {
      const last = Math.min(to, next + this.range(url) - 1);
      if (!(await this.asked(url, filter, next, last, walk, looked))) continue;
      next = last + 1;
      walk.at = Math.max(walk.at, Math.min(next, to - READ_AGAIN));
    }
    return { found: [...walk.found.values()], complete: next > to };
  }

  /**
   * As `upward`, from block `from` down to the first one, until something is found. Of final blocks (`final`) what was read stays
   * read, unless nothing at all was found.
   */
  async downward(url: string, filter: LogFilter, from: number, final: boolean, looked: Looked<T>): Promise<{ readonly found: readonly T[]; readonly complete: boolean }> {
    const name = `down ${url} ${JSON.stringify(filter)} ${looked.name}`;
    const walk = final ? this.walk(name, from) : { at: from, found: new Map<string, T>() };
    for (let looks = 0; walk.at >= 0 && walk.found.size === 0 && looks < MAX_LOOKS; looks += 1) {
      const first = Math.max(0, walk.at - this.range(url) + 1);
      if (await this.asked(url, filter, first, walk.at, walk, looked)) walk.at = first - 1;
    }
    const complete = walk.at < 0 || walk.found.size > 0;
    // A node that was behind the chain shows it the next time.
    if (complete && walk.found.size === 0) this.walks.delete(name);
    return { found: [...walk.found.values()], complete };
  }

  private walk(name: string, at: number): Walk<T> {
    const known = this.walks.get(name);
    if (known !== undefined) return known;
    const [oldest] = this.walks.keys();
    if (this.walks.size >= MAX_WALKS && oldest !== undefined) this.walks.delete(oldest);
    const made: Walk<T> = { at, found: new Map() };
    this.walks.set(name, made);
    return made;
  }

  private range(url: string): number {
    return this.most.get(url) ?? MOST_BLOCKS;
  }

  /** Put what the node shows of a range into the walk; false if it refuses that many blocks: then fewer are asked for. */
  private async asked(url: string, filter: LogFilter, from: number, to: number, walk: Walk<T>, looked: Looked<T>): Promise<boolean> {
    let logs: unknown;
    try {
      logs = await this.endpoints.call(url, "eth_getLogs", [{ ...filter, fromBlock: quantity(from), toBlock: quantity(to) }]);
    } catch (error) {
      const blocks = to - from + 1;
      if (!(error instanceof RefusedCall) || BUSY.test(error.message) || blocks <= FEWEST_BLOCKS) {
        // Refused however few they are: it is not about their number.
        if (blocks <= FEWEST_BLOCKS) this.most.delete(url);
        throw error;
      }
      this.most.set(url, Math.max(FEWEST_BLOCKS, Math.floor(blocks / 2)));
      return false;
    }
    if (!Array.isArray(logs)) throw unavailable("a node shows no logs");
    for (const [name, value] of (logs as RawLog[]).flatMap((log) => this.read(log ?? {})).filter(([, value]) => looked.counts(value)).slice(0, MAX_LOGS)) walk.found.set(name, value);
    return true;
  }
}

/** A number as JSON-RPC writes it. */
export const quantity = (value: number | bigint): string => `0x${value.toString(16)}`;
