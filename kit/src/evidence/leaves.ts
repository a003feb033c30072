/** Leaves of the ledger's state: MessagePack arrays of known shapes, in the one form that the ledger writes. */
import { type Bytes, equal, toBigInt } from "./bytes.js";
import { invalid } from "./errors.js";
import { type Packed, pack, unpack } from "./msgpack.js";

const bad = (): Error => invalid("the proven leaf is not what its key says");

function read(raw: Bytes): Packed {
  try {
    return unpack(raw);
  } catch {
    throw bad();
  }
}

function fields(raw: Bytes, size: number): Packed[] {
  const value = read(raw);
  if (!Array.isArray(value) || value.length !== size || !equal(pack(value), raw)) throw bad();
  return value;
}

const isBytes = (value: Packed | undefined): value is Bytes => value instanceof Uint8Array;
const MAX_INTEGER = 2n ** 64n;

function text(value: Packed | undefined): string {
  if (typeof value !== "string") throw bad();
  return value;
}

function bytes(value: Packed | undefined): Bytes {
  if (!isBytes(value)) throw bad();
  return value;
}

function integer(value: Packed | undefined): bigint {
  if (typeof value !== "bigint" || value >= MAX_INTEGER) throw bad();
  return value;
}

/** An amount as the ledger keeps it: minimal big-endian, empty for zero. */
export function amount(raw: Bytes): bigint {
  if (raw.length > 32 || raw[0] === 0) throw bad();
  return toBigInt(raw);
}

export function recordLeaf(raw: Bytes): { document: Bytes; author: Bytes; version: bigint } {
  const [document, author, version, time] = fields(raw, 4);
  integer(time);
  return { document: bytes(document), author: bytes(author), version: integer(version) };
}

export function accountLeaf(raw: Bytes): readonly (readonly [string, Bytes])[] {
  const [sequence, balances] = fields(raw, 2);
  integer(sequence);
  if (!Array.isArray(balances)) throw bad();
  return balances.map((held) => {
    if (!Array.isArray(held) || held.length !== 2) throw bad();
    return [text(held[0]), bytes(held[1])] as const;
  });
}

export function headerLeaf(raw: Bytes): { blockHash: Bytes; time: bigint } {
  const [blockHash, time] = fields(raw, 2);
  return { blockHash: bytes(blockHash), time: integer(time) };
}

const STATUSES = ["locked", "claimed", "refunded"] as const;

export interface LockLeaf {
  readonly asset: string;
  readonly amount: Bytes;
  readonly sender: Bytes;
  readonly receiver: Bytes;
  readonly hashlock: Bytes;
  readonly timelock: bigint;
  readonly status: (typeof STATUSES)[number];
}

export function lockLeaf(raw: Bytes): LockLeaf {
  const [asset, held, sender, receiver, hashlock, timelock, status, preimage] = fields(raw, 8);
  const known = STATUSES.find((one) => one === status);
  if (known === undefined) throw bad();
  bytes(preimage);
  return {
    asset: text(asset),
    amount: bytes(held),
    sender: bytes(sender),
    receiver: bytes(receiver),
    hashlock: bytes(hashlock),
    timelock: integer(timelock),
    status: known,
  };
}
