/** MessagePack as far as the ledger uses it: integers from 0 to 2⁶⁴ − 1 (as bigint), strings, bytes and arrays of them. */
import { type Bytes, concat, toBigInt, utf8 } from "./bytes.js";
import { malformed } from "./errors.js";

export type Packed = bigint | string | Bytes | Packed[];

class Reader {
  private at = 0;

  constructor(private readonly data: Bytes) {}

  whole(): Packed {
    const value = this.value(0);
    if (this.at !== this.data.length) throw unreadable();
    return value;
  }

  private take(size: number): Bytes {
    const part = this.data.slice(this.at, this.at + size);
    if (part.length !== size) throw unreadable();
    this.at += size;
    return part;
  }

  private number(size: number): number {
    return Number(toBigInt(this.take(size)));
  }

  private value(depth: number): Packed {
    if (depth > 4) throw unreadable();
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
      default: throw unreadable();
    }
  }

  private list(size: number, depth: number): Packed[] {
    if (size > this.data.length) throw unreadable();
    return Array.from({ length: size }, () => this.value(depth + 1));
  }

  private text(size: number): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.take(size));
    } catch {
      throw unreadable();
    }
  }
}

/** The shortest form, which is the only one that the ledger takes. */
export function pack(value: Packed): Bytes {
  if (typeof value === "bigint") {
    // Cut to eight bytes it would be another number, and signed as that.
    if (value < 0n || value >= 2n ** 64n) throw malformed(`${value} is not a number that the ledger writes`);
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

const unreadable = (): Error => malformed("these bytes are not what the ledger writes");

/** The one value that `data` consists of. Throws for anything else, and for arrays within arrays more than four deep. */
export const unpack = (data: Bytes): Packed => new Reader(data).whole();
