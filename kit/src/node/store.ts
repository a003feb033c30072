/** Swaps in a folder, one encrypted file each, for programs in Node. */
import { type FileHandle, mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { seal, unseal, freshSalt, passphraseKey } from "../browser/vault.js";
import { rejected, unavailable } from "../errors.js";
import type { SwapRecord, SwapStore } from "../swap/record.js";

const SALT = "salt";
const CHECK = "check";
const RECORD = /^([0-9a-f]{1,64})\.swap$/;
const KEY = /^[0-9a-f]{1,64}$/;
const IV_BYTES = 12;
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
    await mkdir(folder, { recursive: true, mode: 0o700 });
    let salt = await read(join(folder, SALT));
    if (salt === undefined) {
      await written(folder, SALT, freshSalt());
      salt = (await read(join(folder, SALT))) as Uint8Array<ArrayBuffer>;
    }
    const store = new FileStore(folder, await passphraseKey(passphrase, salt));
    if ((await store.unsealed(CHECK)) === undefined) await store.sealed(CHECK, CHECK);
    return store;
  }

  async get(key: string): Promise<SwapRecord | undefined> {
    const text = await this.unsealed(fileOf(key));
    return text === undefined ? undefined : (JSON.parse(text) as SwapRecord);
  }

  async all(): Promise<SwapRecord[]> {
    const keys = (await readdir(this.folder)).flatMap((name) => RECORD.exec(name)?.[1] ?? []);
    return (await Promise.all(keys.map((key) => this.get(key)))).filter((one) => one !== undefined);
  }

  put(record: SwapRecord): Promise<void> {
    return this.sealed(fileOf(record.key), JSON.stringify(record));
  }

  async remove(key: string): Promise<void> {
    await rm(join(this.folder, fileOf(key)), { force: true });
  }

  /** By a file that names our process; one that a dead process left is taken over. */
  async exclusive<T>(key: string, work: () => Promise<T>): Promise<T> {
    const path = join(this.folder, `${checked(key)}.lock`);
    const held = await taken(path);
    try {
      return await work();
    } finally {
      await held.close();
      await rm(path, { force: true });
    }
  }

  private async sealed(name: string, text: string): Promise<void> {
    const { iv, data } = await seal(this.key, name, text);
    await written(this.folder, name, Buffer.concat([iv, data]));
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

async function read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return Uint8Array.from(await readFile(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** In one step, and on the disk when this returns: the file, and its name in the folder. */
async function written(folder: string, name: string, data: Uint8Array): Promise<void> {
  const draft = join(folder, `${name}.${process.pid}.draft`);
  const file = await open(draft, "w", 0o600);
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, join(folder, name));
  const listing = await open(folder, "r");
  await listing.sync().finally(() => listing.close());
}

const heldBy = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");

async function taken(path: string): Promise<FileHandle> {
  for (let tries = 0; tries < 2; tries++) {
    try {
      const file = await open(path, "wx", 0o600);
      await file.writeFile(`${process.pid} ${begun()}`);
      return file;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      if (await isAlive(path)) break;
      await rm(path, { force: true });
    }
  }
  throw unavailable("this swap is carried on by another process: wait until it has ended", "busy");
}

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
