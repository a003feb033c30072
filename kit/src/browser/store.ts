/** Swaps in IndexedDB, each record encrypted: what is on the disk shows neither preimages nor terms. */
import { rejected, unavailable } from "../errors.js";
import type { ChainMemory, SwapRecord, SwapStore } from "../swap/record.js";
import { type Sealed, freshSalt, passkeyKey, passphraseKey, readable, seal, unseal } from "./vault.js";

const [RECORDS, META] = ["swaps", "meta"] as const;
const CHECK = "check";
const SALT = "salt";
const UNLOCK = "unlock";

/** How a store is unlocked. */
export type Unlock = { readonly passphrase: string } | { readonly passkey: Uint8Array<ArrayBuffer> };

export class IndexedDbStore implements SwapStore {
  private constructor(
    private readonly database: IDBDatabase,
    private readonly key: CryptoKey,
    private readonly name: string,
  ) {}

  /** Open the store, or make it. Throws if the passphrase or passkey is not the one that it was made with. */
  static async open(unlock: Unlock, name = "causeway"): Promise<IndexedDbStore> {
    // Two tabs that act on one swap at once would lock twice, or show a preimage that the other has called off.
    if (typeof navigator.locks?.request !== "function") throw rejected("this browser cannot keep two tabs from acting on one swap (Web Locks): use a newer one, over https or at localhost", "unsupported");
    const database = await opened(name);
    database.onversionchange = () => database.close();
    try {
      const salt = await saltOf(database);
      const key = "passphrase" in unlock ? await passphraseKey(unlock.passphrase, salt) : await passkeyKey(unlock.passkey, salt);
      const by = "passkey" in unlock ? unlock.passkey : "passphrase";
      // Of two tabs that make the store at once, the first decides what opens it: what the other kept under its own key would be lost.
      await unseal(key, CHECK, await first(database, { [CHECK]: await seal(key, CHECK, CHECK), [UNLOCK]: by }));
      // Where a browser lets us ask: do not clear this under pressure of space. Preimages are money.
      await navigator.storage?.persist?.().catch(() => false);
      return new IndexedDbStore(database, key, name);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  /** How the store was locked when it was made: a passkey's id, "passphrase", or undefined if there is none yet. */
  static async lockedBy(name = "causeway"): Promise<Uint8Array<ArrayBuffer> | "passphrase" | undefined> {
    const database = await opened(name);
    try {
      const store = within(database, META).objectStore(META);
      const [check, by] = await Promise.all([asked<unknown>(store.get(CHECK)), asked<unknown>(store.get(UNLOCK))]);
      if (check === undefined) return undefined;
      return by instanceof Uint8Array ? new Uint8Array(by) : "passphrase";
    } finally {
      database.close();
    }
  }

  /** A text that was kept under this name, encrypted as the swaps are. */
  async secret(name: string): Promise<string | undefined> {
    const sealed = await asked<Sealed | undefined>(within(this.database, META).objectStore(META).get(`secret/${name}`));
    return sealed === undefined ? undefined : unseal(this.key, `secret/${name}`, sealed);
  }

  /** Keep a text, such as the seed of a key, under a name that has none yet. Returns what is kept there: in two tabs, one of the two. */
  async keep(name: string, text: string): Promise<string> {
    const place = `secret/${name}`;
    return unseal(this.key, place, await first(this.database, { [place]: await seal(this.key, place, text) }));
  }

  close(): void {
    this.database.close();
  }

  async get(key: string): Promise<SwapRecord | undefined> {
    const sealed = await asked<Sealed | undefined>(within(this.database, RECORDS).objectStore(RECORDS).get(key));
    return sealed === undefined ? undefined : (JSON.parse(await unseal(this.key, key, sealed)) as SwapRecord);
  }

  async all(): Promise<SwapRecord[]> {
    const store = within(this.database, RECORDS).objectStore(RECORDS);
    const [keys, sealed] = await Promise.all([asked(store.getAllKeys()), asked<Sealed[]>(store.getAll())]);
    return readable(sealed.map(async (one, place) => JSON.parse(await unseal(this.key, String(keys[place]), one)) as SwapRecord));
  }

  async put(record: SwapRecord): Promise<void> {
    await put(this.database, RECORDS, record.key, await seal(this.key, record.key, JSON.stringify(record)));
  }

  async remove(key: string): Promise<void> {
    const transaction = within(this.database, RECORDS, "readwrite");
    transaction.objectStore(RECORDS).delete(key);
    await finished(transaction);
  }

  remember(chain: string): Promise<ChainMemory | undefined>;
  remember(chain: string, change: (known: ChainMemory | undefined) => ChainMemory): Promise<ChainMemory>;
  async remember(chain: string, change?: (known: ChainMemory | undefined) => ChainMemory): Promise<ChainMemory | undefined> {
    const place = `chain/${chain}`;
    const kept = async (): Promise<ChainMemory | undefined> => {
      const sealed = await asked<Sealed | undefined>(within(this.database, META).objectStore(META).get(place));
      return sealed === undefined ? undefined : (JSON.parse(await unseal(this.key, place, sealed)) as ChainMemory);
    };
    if (change === undefined) return kept();
    // A name that no swap's lock has, whatever a relayer calls its quotes. It is held for a moment, and waited for.
    return await navigator.locks.request(`causeway chains/${this.name}/${chain}`, async () => {
      const made = change(await kept());
      await put(this.database, META, place, await seal(this.key, place, JSON.stringify(made)));
      return made;
    });
  }

  /** By Web Locks, which hold across tabs and end with the tab. */
  async exclusive<T>(key: string, work: () => Promise<T>): Promise<T> {
    return navigator.locks.request(`causeway/${this.name}/${key}`, { ifAvailable: true }, async (lock) => {
      if (lock === null) throw unavailable("this swap is carried on in another tab: close that one, or wait", "busy");
      return work();
    }) as Promise<T>;
  }
}

function opened(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(RECORDS);
    request.result.createObjectStore(META);
  };
  return asked(request);
}

const saltOf = (database: IDBDatabase): Promise<Uint8Array<ArrayBuffer>> => first(database, { [SALT]: freshSalt() });

/** Keep these values unless the first of them is there already, in one transaction; returns the first, as it is kept. */
async function first<T>(database: IDBDatabase, values: Readonly<Record<string, unknown>>): Promise<T> {
  const [[name, made]] = Object.entries(values) as [[string, T]];
  const transaction = within(database, META, "readwrite");
  const store = transaction.objectStore(META);
  const known = await asked<T | undefined>(store.get(name));
  if (known === undefined) for (const [key, value] of Object.entries(values)) store.put(value, key);
  await finished(transaction);
  return known ?? made;
}

/** A transaction, strict about the disk. A connection that the browser has closed is a failure like any other. */
function within(database: IDBDatabase, where: string, mode: IDBTransactionMode = "readonly"): IDBTransaction {
  try {
    return database.transaction(where, mode, { durability: "strict" });
  } catch (error) {
    throw failed(error);
  }
}

/** Returns once it is on the disk (`durability: "strict"`), as far as the browser can know. */
async function put(database: IDBDatabase, where: string, key: string, value: unknown): Promise<void> {
  const transaction = within(database, where, "readwrite");
  transaction.objectStore(where).put(value, key);
  await finished(transaction);
}

function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(failed(request.error));
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(failed(transaction.error));
  });
}

const failed = (error: unknown): Error => unavailable(`the browser's database: ${(error as Error | null)?.message || "no reason"}`, "store");
