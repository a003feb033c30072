/** Swaps in IndexedDB, each record encrypted: what is on the disk shows neither preimages nor terms. */
import { unavailable } from "../errors.js";
import type { SwapRecord, SwapStore } from "../swap/record.js";
import { type Sealed, freshSalt, passkeyKey, passphraseKey, seal, unseal } from "./vault.js";

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
    const database = await opened(name);
    database.onversionchange = () => database.close();
    try {
      const salt = await saltOf(database);
      const key = "passphrase" in unlock ? await passphraseKey(unlock.passphrase, salt) : await passkeyKey(unlock.passkey, salt);
      const check = await asked<Sealed | undefined>(database.transaction(META).objectStore(META).get(CHECK));
      if (check === undefined) {
        await put(database, META, UNLOCK, "passkey" in unlock ? unlock.passkey : "passphrase");
        await put(database, META, CHECK, await seal(key, CHECK, CHECK));
      }
      else await unseal(key, CHECK, check);
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
      const store = database.transaction(META).objectStore(META);
      const [check, by] = await Promise.all([asked<unknown>(store.get(CHECK)), asked<unknown>(store.get(UNLOCK))]);
      if (check === undefined) return undefined;
      return by instanceof Uint8Array ? new Uint8Array(by) : "passphrase";
    } finally {
      database.close();
    }
  }

  /** A text that was kept under this name, encrypted as the swaps are. */
  async secret(name: string): Promise<string | undefined> {
    const sealed = await asked<Sealed | undefined>(this.database.transaction(META).objectStore(META).get(`secret/${name}`));
    return sealed === undefined ? undefined : unseal(this.key, `secret/${name}`, sealed);
  }

  /** Keep a text, such as the seed of a key, under a name that has none yet. Returns what is kept there: in two tabs, one of the two. */
  async keep(name: string, text: string): Promise<string> {
    const place = `secret/${name}`;
    const sealed = await seal(this.key, place, text);
    const transaction = this.database.transaction(META, "readwrite", { durability: "strict" });
    const store = transaction.objectStore(META);
    const known = await asked<Sealed | undefined>(store.get(place));
    if (known === undefined) store.put(sealed, place);
    await finished(transaction);
    return known === undefined ? text : unseal(this.key, place, known);
  }

  close(): void {
    this.database.close();
  }

  async get(key: string): Promise<SwapRecord | undefined> {
    const sealed = await asked<Sealed | undefined>(this.database.transaction(RECORDS).objectStore(RECORDS).get(key));
    return sealed === undefined ? undefined : (JSON.parse(await unseal(this.key, key, sealed)) as SwapRecord);
  }

  async all(): Promise<SwapRecord[]> {
    const store = this.database.transaction(RECORDS).objectStore(RECORDS);
    const [keys, sealed] = await Promise.all([asked(store.getAllKeys()), asked<Sealed[]>(store.getAll())]);
    return Promise.all(sealed.map(async (one, place) => JSON.parse(await unseal(this.key, String(keys[place]), one)) as SwapRecord));
  }

  async put(record: SwapRecord): Promise<void> {
    await put(this.database, RECORDS, record.key, await seal(this.key, record.key, JSON.stringify(record)));
  }

  async remove(key: string): Promise<void> {
    const transaction = this.database.transaction(RECORDS, "readwrite", { durability: "strict" });
    transaction.objectStore(RECORDS).delete(key);
    await finished(transaction);
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

async function saltOf(database: IDBDatabase): Promise<Uint8Array<ArrayBuffer>> {
  const known = await asked<Uint8Array<ArrayBuffer> | undefined>(database.transaction(META).objectStore(META).get(SALT));
  if (known !== undefined) return known;
  // Two tabs may make the store at once: the first salt counts.
  const transaction = database.transaction(META, "readwrite", { durability: "strict" });
  const store = transaction.objectStore(META);
  const first = await asked<Uint8Array<ArrayBuffer> | undefined>(store.get(SALT));
  const salt = first ?? freshSalt();
  if (first === undefined) store.put(salt, SALT);
  await finished(transaction);
  return salt;
}

/** Returns once it is on the disk (`durability: "strict"`), as far as the browser can know. */
async function put(database: IDBDatabase, where: string, key: string, value: unknown): Promise<void> {
  const transaction = database.transaction(where, "readwrite", { durability: "strict" });
  transaction.objectStore(where).put(value, key);
  await finished(transaction);
}

function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(unavailable(`the browser's database: ${request.error?.message ?? "no reason"}`, "store"));
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(unavailable(`the browser's database: ${transaction.error?.message ?? "no reason"}`, "store"));
  });
}
