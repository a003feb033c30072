import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { malformed } from "./errors.js";

export type Bytes = Uint8Array;

const encoder = new TextEncoder();
const HEX = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, "0"));
const LOWER_HEX = /^(?:[0-9a-f]{2})*$/;

export const utf8 = (text: string): Bytes => encoder.encode(text);

export function concat(...parts: readonly Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

export const sha256 = (...parts: readonly Bytes[]): Bytes => nobleSha256(concat(...parts));
export const keccak256 = (...parts: readonly Bytes[]): Bytes => keccak_256(concat(...parts));

export function equal(one: Bytes, other: Bytes): boolean {
  return one.length === other.length && one.every((byte, place) => byte === other[place]);
}

/** Order of byte strings, as a number for `sort`. */
export function compare(one: Bytes, other: Bytes): number {
  for (let place = 0; place < Math.min(one.length, other.length); place++) {
    const difference = (one[place] as number) - (other[place] as number);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}

export const toHex = (bytes: Bytes): string => Array.from(bytes, (byte) => HEX[byte]).join("");

/** Bytes of lower-case hex without a prefix. Throws for anything else. */
export function fromHex(text: string): Bytes {
  if (!LOWER_HEX.test(text)) throw malformed("not lower-case hex");
  return Uint8Array.from({ length: text.length / 2 }, (_, place) => parseInt(text.slice(2 * place, 2 * place + 2), 16));
}

/** A non-negative integer as big-endian bytes: of `size` bytes, or without leading zeros. */
export function fromBigInt(value: bigint, size?: number): Bytes {
  let digits = value === 0n ? "" : value.toString(16);
  if (digits.length % 2) digits = `0${digits}`;
  if (size === undefined) return fromHex(digits);
  if (digits.length > 2 * size) throw malformed(`a number does not fit ${size} bytes`);
  return fromHex(digits.padStart(2 * size, "0"));
}

export const toBigInt = (bytes: Bytes): bigint => (bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`));
