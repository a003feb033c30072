/** The few deterministic protobuf encodings that CometBFT hashes and signs. Defaults are left out, as gogoproto does. */
import { type Bytes, concat } from "./bytes.js";
import { malformed } from "./errors.js";

const VARINT = 0n;
const FIXED64 = 1n;
const BYTES = 2n;
const NOTHING = new Uint8Array();

export function varint(value: bigint): Bytes {
  if (value < -(1n << 63n) || value >= 1n << 64n) throw malformed("integer does not fit a 64-bit varint");
  let remaining = BigInt.asUintN(64, value);
  const encoded: number[] = [];
  while (remaining > 0x7fn) {
    encoded.push(Number(remaining & 0x7fn) | 0x80);
    remaining >>= 7n;
  }
  encoded.push(Number(remaining));
  return Uint8Array.from(encoded);
}

const key = (number: number, wire: bigint): Bytes => varint((BigInt(number) << 3n) | wire);

export const varintField = (number: number, value: bigint): Bytes =>
  value === 0n ? NOTHING : concat(key(number, VARINT), varint(value));

export function sfixed64Field(number: number, value: bigint): Bytes {
  if (value === 0n) return NOTHING;
  const body = new Uint8Array(8);
  new DataView(body.buffer).setBigInt64(0, value, true);
  return concat(key(number, FIXED64), body);
}

export const messageField = (number: number, body: Bytes): Bytes =>
  concat(key(number, BYTES), varint(BigInt(body.length)), body);

export const bytesField = (number: number, value: Bytes): Bytes =>
  value.length === 0 ? NOTHING : messageField(number, value);

export const delimited = (body: Bytes): Bytes => concat(varint(BigInt(body.length)), body);
