/** Swaps in a folder, one encrypted file each, for programs in Node. */
import { link, mkdir, open, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256, toHex, utf8 } from "../evidence/bytes.js";
import { freshSalt, passphraseKey, readable, seal, unseal } from "../browser/vault.js";
import { type CausewayError, rejected, unavailable } from "../errors.js";
import type { ChainMemory, SwapRecord, SwapStore } from "../swap/record.js";

const SALT = "salt";
const CHECK = "check";
const RECORD = /^([0-9a-f]{1,64})\.swap$/;
const KEY = /^[0-9a-f]{1,64}$/;
const LOCK = /^((?:chain-)?[0-9a-f]{1,64})\.([1-9][0-9]{0,14})\.lock$/;
const FREE = "free";
const IV_BYTES = 12;
/** How long another process is waited for that changes what is remembered of a chain, and how often that is looked at. */
const [TURN_MS, TURN_LOOK_MS] = [5_000, 25] as const;
/** Between making the file of a lock and writing who holds it. */
const WRITTEN_WITHIN_MS = 200;
/** The beginning of a process, computed twice, differs by less. */
const SAME_PROCESS_MS = 50;

export class FileStore implements SwapStore {
  private constructor(
    private readonly folder: string,
    private readonly key: CryptoKey,
  ) {}

  /** Open the store in `folder`, or make it, readable by this user alone. Throws for another passphrase. */
  static async open(folder: string, passphrase: string): Promise<FileStore> {
    await done(mkdir(folder, { recursive: true, mode: 0o700 }));
    // Of two processes that make the store at once, the first decides what opens it: what the other kept under its own key would be lost.
    if ((await read(join(folder, SALT))) === undefined) await written(folder, SALT, freshSalt(), true);
    const salt = (await read(join(folder, SALT))) as Uint8Array<ArrayBuffer>;
    const store = new FileStore(folder, await passphraseKey(passphrase, salt));
    if ((await store.unsealed(CHECK)) === undefined) await store.sealed(CHECK, CHECK, true);
    await store.unsealed(CHECK);
    return store;
  }

  async get(key: string): Promise<SwapRecord | undefined> {
    const text = await this.unsealed(fileOf(key));
    return text === undefined ? undefined : (JSON.parse(text) as SwapRecord);
  }

  async all(): Promise<SwapRecord[]> {
    const keys = (await done(readdir(this.folder))).flatMap((name) => RECORD.exec(name)?.[1] ?? []);
    return (await readable(keys.map((key) => this.get(key)))).filter((one) => one !== undefined);
  }

  put(record: SwapRecord): Promise<void> {
    return this.sealed(fileOf(record.key), JSON.stringify(record));
  }

  async remove(key: string): Promise<void> {
    await done(rm(join(this.folder, fileOf(key)), { force: true }));
  }

  remember(chain: string): Promise<ChainMemory | undefined>;
  remember(chain: string, change: (known: ChainMemory | undefined) => ChainMemory): Promise<ChainMemory>;
  async remember(chain: string, change?: (known: ChainMemory | undefined) => ChainMemory): Promise<ChainMemory | undefined> {
    const name = `chain-${toHex(sha256(utf8(chain)))}`;
    const kept = async (): Promise<ChainMemory | undefined> => {
      const text = await this.unsealed(name);
      return text === undefined ? undefined : (JSON.parse(text) as ChainMemory);
    };
    if (change === undefined) return kept();
    const turn = performance.now() + TURN_MS;
    for (;;) {
      try {
        return await this.alone(name, async () => {
          const made = change(await kept());
          await this.sealed(name, JSON.stringify(made));
          return made;
        });
      } catch (error) {
        if (codeOf(error) !== "busy" || performance.now() > turn) throw error;
        await new Promise((resolve) => setTimeout(resolve, TURN_LOOK_MS));
      }
    }
  }

  exclusive<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.alone(checked(key), work);
  }

  /** By a file that names our process; after one that a dead process left, the next is made. */
  private async alone<T>(name: string, work: () => Promise<T>): Promise<T> {
    const path = await taken(this.folder, name);
    try {
      return await work();
    } finally {
      // Left as it is, it is ours until this process ends.
      await writeFile(path, FREE).catch(() => undefined);
    }
  }

  private async sealed(name: string, text: string, once = false): Promise<void> {
    const { iv, data } = await seal(this.key, name, text);
    await written(this.folder, name, Buffer.concat([iv, data]), once);
  }

  private async unsealed(name: string): Promise<string | undefined> {
    const raw = await read(join(this.folder, name));
    return raw === undefined ? undefined : unseal(this.key, name, { iv: raw.slice(0, IV_BYTES), data: raw.slice(IV_BYTES) });
  }
}

function checked(key: string): string {
  if (!KEY.test(key)) throw rejected("a swap's key is up to 64 hex digits");
  return key;
}

const fileOf = (key: string): string => `${checked(key)}.swap`;

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;
const failed = (error: unknown): CausewayError => unavailable(`the folder of swaps: ${(error as Error).message}`, "store");

/** What the file system does; a full disk, say, is one kind of failure, wherever it shows. */
async function done<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw failed(error);
  }
}

async function read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return Uint8Array.from(await readFile(path));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw failed(error);
  }
}

/** In one step, and on the disk when this returns: the file, and its name in the folder. `once`: unless it is there already. */
async function written(folder: string, name: string, data: Uint8Array, once = false): Promise<void> {
  const [path, draft] = [join(folder, name), join(folder, `${name}.${process.pid}.${drafts++}.draft`)];
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    if (once) await link(draft, path).catch((error: unknown) => codeOf(error) === "EEXIST" || Promise.reject(error as Error)).finally(() => rm(draft, { force: true }));
    else await rename(draft, path);
    const listing = await open(folder, "r");
    await listing.sync().finally(() => listing.close());
  } catch (error) {
    throw failed(error);
  }
}

let drafts = 0;

const heldBy = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");

/**
 * The file by which this process alone works on a swap. Files are numbered: the next number is made by one process only, whoever else
 * found the last one free, and a number stays until there is a higher one. So nobody takes away what another has just made.
 */
async function taken(folder: string, key: string): Promise<string> {
  const at = (number: number): string => join(folder, `${key}.${number}.lock`);
  const numbers = async (): Promise<number[]> =>
    (await readdir(folder)).flatMap((name) => (LOCK.exec(name)?.[1] === key ? Number(LOCK.exec(name)?.[2]) : [])).sort((one, other) => other - one);
  try {
    const [last] = await numbers();
    if (last !== undefined && (await isAlive(at(last)))) throw busy();
    const own = (last ?? 0) + 1;
    await writeFile(at(own), `${process.pid} ${begun()}`, { flag: "wx", mode: 0o600 });
    const [highest, ...older] = await numbers();
    // It took us so long that we were taken for dead, or that the numbers have gone on.
    if (highest !== own) {
      await rm(at(own), { force: true });
      throw busy();
    }
    await Promise.all(older.map((one) => rm(at(one), { force: true })));
    return at(own);
  } catch (error) {
    if (codeOf(error) === "busy") throw error;
    throw codeOf(error) === "EEXIST" ? busy() : failed(error);
  }
}

const busy = (): CausewayError => unavailable("this swap is carried on by another process: wait until it has ended", "busy");

/** When this process began, in ms of the machine's monotonic clock: in a container the next one has the same id again. */
const begun = (): number => Math.round(Number(process.hrtime.bigint()) / 1e6 - process.uptime() * 1000);

/** True unless the process that wrote its id there is gone. */
async function isAlive(path: string): Promise<boolean> {
  let text = await heldBy(path);
  if (text === "") {
    // Being written at this moment, or its writer died in between.
    await new Promise((resolve) => setTimeout(resolve, WRITTEN_WITHIN_MS));
    text = await heldBy(path);
  }
  const [holder, since] = text.split(" ").map(Number) as [number, number?];
  if (!Number.isSafeInteger(holder) || holder <= 0) return false;
  if (holder === process.pid) return Math.abs(Number(since) - begun()) < SAME_PROCESS_MS;
  try {
    process.kill(holder, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
