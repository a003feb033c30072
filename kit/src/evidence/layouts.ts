/** Reviewed layouts of ERC-20 tokens: which code keeps its balances in which storage slots. */
import { type Bytes, concat, equal, fromBigInt, fromHex, keccak256, toBigInt } from "./bytes.js";
import { decimal, hexBytes, integer, items, type Json, load, members, optional, text } from "./canonical.js";
import { malformed } from "./errors.js";
import { MAX_IDENTIFIER_CHARS } from "./identifiers.js";

const MAX_WORD = 2n ** 256n - 1n;
const MAX_LAYOUTS = 1_000;

export interface ProxyLayout {
  readonly slot: bigint;
  readonly codeHash: Bytes;
}

/** One reviewed contract. The low `bits` of a word are the balance; `balances` is the slot of the mapping. */
export interface TokenLayout {
  readonly name: string;
  readonly codeHash: Bytes;
  readonly balances: bigint;
  readonly order: "key-slot" | "slot-key";
  readonly bits: bigint;
  readonly proxy: ProxyLayout | null;
}

const ours = (decimals: number, codeHash: string): TokenLayout => ({
  name: `TestToken of ${decimals} decimals`,
  codeHash: fromHex(codeHash),
  balances: 0n,
  order: "key-slot",
  bits: 256n,
  proxy: null,
});

export const REVIEWED_LAYOUTS: readonly TokenLayout[] = [
  ours(6, "d22e5fdde86a838f73de1323a6fb27160dac02e86fa5397b3443ec010c08327e"),
  ours(18, "c34bdf879d26127ed905bb6311b5e53f14d9126e1196fccdf9d5217446a64006"),
];

export function balanceSlot(layout: TokenLayout, holder: Bytes): bigint {
  const [key, slot] = [fromBigInt(toBigInt(holder), 32), fromBigInt(layout.balances, 32)];
  return toBigInt(keccak256(layout.order === "key-slot" ? concat(key, slot) : concat(slot, key)));
}

export const balanceIn = (layout: TokenLayout, word: bigint): bigint => word & ((1n << layout.bits) - 1n);

/** Slots of implementations of proxies with this code. */
export function proxySlots(layouts: readonly TokenLayout[], codeHash: Bytes): bigint[] {
  const slots = layouts.filter((one) => equal(one.codeHash, codeHash)).map(({ proxy }) => proxy?.slot);
  return [...new Set(slots)].filter((slot) => slot !== undefined);
}

export function layoutOf(layouts: readonly TokenLayout[], codeHash: Bytes, proxy: ProxyLayout | null): TokenLayout | undefined {
  return layouts.find((one) => equal(one.codeHash, codeHash) && sameProxy(one.proxy, proxy));
}

function sameProxy(one: ProxyLayout | null, other: ProxyLayout | null): boolean {
  if (one === null || other === null) return one === other;
  return one.slot === other.slot && equal(one.codeHash, other.codeHash);
}

/** Read a file of layouts, in any layout of its JSON, since people write these. */
export function readLayouts(data: Bytes): TokenLayout[] {
  const fields = members(load(data, true), "version", "layouts");
  if (fields.version !== 1n) throw malformed("file of layouts has an unknown format version");
  const layouts = items(fields.layouts, MAX_LAYOUTS).map(readLayout);
  if (layouts.some((one) => layoutOf(layouts, one.codeHash, one.proxy) !== one)) throw malformed("two layouts are of the same code");
  return layouts;
}

function readLayout(value: Json): TokenLayout {
  const fields = members(value, "name", "code_hash", "balances", "order", "bits", "proxy");
  if (fields.order !== "key-slot" && fields.order !== "slot-key") throw malformed("order of a mapping is unknown");
  const bits = integer(fields.bits, 256n);
  if (bits === 0n) throw malformed("a balance has at least one bit");
  return {
    name: text(fields.name, MAX_IDENTIFIER_CHARS),
    codeHash: hash(fields.code_hash),
    balances: decimal(fields.balances, MAX_WORD),
    order: fields.order,
    bits,
    proxy: optional(fields.proxy, (one) => {
      const behind = members(one, "slot", "code_hash");
      return { slot: decimal(behind.slot, MAX_WORD), codeHash: hash(behind.code_hash) };
    }),
  };
}

function hash(value: Json): Bytes {
  const raw = hexBytes(value, 32);
  if (raw.length !== 32) throw malformed("a code hash has 32 bytes");
  return raw;
}
