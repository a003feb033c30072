/** Leaves of the ledger's state: MessagePack arrays of known shapes, in the one form that the ledger writes. */
import { type Bytes, concat, equal, toBigInt, utf8 } from "./bytes.js";
import { invalid } from "./errors.js";

type Packed = bigint | string | Bytes | Packed[];

const bad = (): Error => invalid("the proven leaf is not what its key says");

class Reader {
  private at = 0;

  constructor(private readonly data: Bytes) {}

  whole(): Packed {
    const value = this.value(0);
    if (this.at !== this.data.length) throw bad();
    return value;
  }

  private take(size: number): Bytes {
    const part = this.data.slice(this.at, this.at + size);
    if (part.length !== size) throw bad();
    this.at += size;
    return part;
  }

  private number(size: number): number {
    return Number(toBigInt(this.take(size)));
  }

  private value(depth: number): Packed {
    if (depth > 4) throw bad();
    const kind = this.number(1);
    if (kind <= 0x7f) return BigInt(kind);
    if (kind >= 0x90 && kind <= 0x9f) return this.list(kind & 0x0f, depth);
    if (kind >= 0xa0 && kind <= 0xbf) return this.text(kind & 0x1f);
    switch (kind) {
      case 0xc4: return this.take(this.number(1));
      case 0xc5: return this.take(this.number(2));
      case 0xc6: return this.take(this.number(4));
      case 0xcc: return toBigInt(this.take(1));
      case 0xcd: return toBigInt(this.take(2));
      case 0xce: return toBigInt(this.take(4));
      case 0xcf: return toBigInt(this.take(8));
      case 0xd9: return this.text(this.number(1));
      case 0xda: return this.text(this.number(2));
      case 0xdc: return this.list(this.number(2), depth);
      case 0xdd: return this.list(this.number(4), depth);
      default: throw bad();
    }
  }

  private list(size: number, depth: number): Packed[] {
    if (size > this.data.length) throw bad();
    return Array.from({ length: size }, () => this.value(depth + 1));
  }

  private text(size: number): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.take(size));
    } catch {
      throw bad();
    }
  }
}

/** The one form that the ledger writes: the shortest. */
function pack(value: Packed): Bytes {
  if (typeof value === "bigint") {
    if (value < 0x80n) return Uint8Array.of(Number(value));
    return value < 0x100n ? sized(0xcc, value, 1) : value < 0x10000n ? sized(0xcd, value, 2) : value < 0x1_0000_0000n ? sized(0xce, value, 4) : sized(0xcf, value, 8);
  }
  if (typeof value === "string") {
    const body = utf8(value);
    const head = body.length < 32 ? Uint8Array.of(0xa0 | body.length) : headed(body.length, [0xd9, 0xda, 0xdb]);
    return concat(head, body);
  }
  if (Array.isArray(value)) {
    const head = value.length < 16 ? Uint8Array.of(0x90 | value.length) : value.length < 0x10000 ? sized(0xdc, BigInt(value.length), 2) : sized(0xdd, BigInt(value.length), 4);
    return concat(head, ...value.map(pack));
  }
  return concat(headed(value.length, [0xc4, 0xc5, 0xc6]), value);
}

const headed = (length: number, [one, two, four]: readonly [number, number, number]): Bytes =>
  length < 0x100 ? sized(one, BigInt(length), 1) : length < 0x10000 ? sized(two, BigInt(length), 2) : sized(four, BigInt(length), 4);

function sized(kind: number, value: bigint, size: number): Bytes {
  const body = new Uint8Array(1 + size);
  body[0] = kind;
  for (let place = size; place > 0; place--, value >>= 8n) body[place] = Number(value & 0xffn);
  return body;
}

function fields(raw: Bytes, size: number): Packed[] {
  const value = new Reader(raw).whole();
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
