import { unavailable } from "../errors.js";
import type { ChainMemory, SwapRecord, SwapStore } from "./record.js";

/** Forgets everything with the process, preimages included: for tests, and for amounts that may be lost. */
export class MemoryStore implements SwapStore {
  private readonly records = new Map<string, string>();
  private readonly chains = new Map<string, ChainMemory>();
  private readonly busy = new Set<string>();

  get(key: string): Promise<SwapRecord | undefined> {
    const found = this.records.get(key);
    return Promise.resolve(found === undefined ? undefined : (JSON.parse(found) as SwapRecord));
  }

  all(): Promise<SwapRecord[]> {
    return Promise.resolve([...this.records.values()].map((one) => JSON.parse(one) as SwapRecord));
  }

  put(record: SwapRecord): Promise<void> {
    this.records.set(record.key, JSON.stringify(record));
    return Promise.resolve();
  }

  remove(key: string): Promise<void> {
    this.records.delete(key);
    return Promise.resolve();
  }

  remember(chain: string): Promise<ChainMemory | undefined>;
  remember(chain: string, change: (known: ChainMemory | undefined) => ChainMemory): Promise<ChainMemory>;
  remember(chain: string, change?: (known: ChainMemory | undefined) => ChainMemory): Promise<ChainMemory | undefined> {
    if (change !== undefined) this.chains.set(chain, change(this.chains.get(chain)));
    return Promise.resolve(this.chains.get(chain));
  }

  async exclusive<T>(key: string, work: () => Promise<T>): Promise<T> {
    if (this.busy.has(key)) throw unavailable("this swap is carried on elsewhere", "busy");
    this.busy.add(key);
    try {
      return await work();
    } finally {
      this.busy.delete(key);
    }
  }
}
