/** Strict JSON in one form only: sorted members, no spaces, ASCII. Numbers are whole, and `bigint` here. */
import { malformed } from "./errors.js";
import { type Bytes, fromHex } from "./bytes.js";

export type Json = null | boolean | bigint | string | Json[] | JsonObject;
export interface JsonObject {
  [name: string]: Json;
}

export const MAX_DOCUMENT_BYTES = 1 << 20;
const MAX_NESTING = 24;
/** Python's own limit (`sys.set_int_max_str_digits`). */
const MAX_DIGITS = 4300;
const NUMBER = /-?(?:0|[1-9][0-9]*)/y;
const FRACTION = /[.eE]/y;
const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPES: Record<string, string> = {
  '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t",
};
const SHORT: Record<string, string> = {
  '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
};
const DECIMAL = /^(?:0|[1-9][0-9]{0,77})$/;

/** The canonical text of a value. */
export function dump(value: Json): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return `[${value.map(dump).join(",")}]`;
  const names = Object.keys(value).sort(byCodePoints);
  return `{${names.map((name) => `${quoted(name)}:${dump(value[name] as Json)}`).join(",")}}`;
}

/** Parse canonical bytes; with `anyLayout` those of a person, indented and ordered at will. */
export function load(data: Bytes, anyLayout = false): Json {
  if (data.length > MAX_DOCUMENT_BYTES) throw malformed("document is too large");
  if (data.some((byte) => byte > 0x7f)) throw malformed("document is not JSON");
  const text = new TextDecoder("ascii").decode(data);
  const value = new Parser(text).document();
  if (!anyLayout && dump(value) !== text) throw malformed("document is not in its canonical form");
  return value;
}

class Parser {
  private at = 0;

  constructor(private readonly text: string) {}

  document(): Json {
    const value = this.value(0);
    this.skip(SPACE);
    if (this.at !== this.text.length) throw malformed("document is not JSON");
    return value;
  }

  private value(depth: number): Json {
    if (depth > MAX_NESTING) throw malformed("document is nested too deeply");
    this.skip(SPACE);
    const next = this.text[this.at];
    if (next === "{") return this.object(depth + 1);
    if (next === "[") return this.list(depth + 1);
    if (next === '"') return this.string();
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    return this.number();
  }

  private object(depth: number): JsonObject {
    if (depth > MAX_NESTING) throw malformed("document is nested too deeply");
    // Without a prototype: a member may have any name.
    const found: JsonObject = Object.create(null) as JsonObject;
    this.at++;
    if (this.takes("}")) return found;
    do {
      this.skip(SPACE);
      if (this.text[this.at] !== '"') throw malformed("document is not JSON");
      const name = this.string();
      if (name in found) throw malformed("document is not JSON: a member stands twice");
      if (!this.takes(":")) throw malformed("document is not JSON");
      found[name] = this.value(depth);
    } while (this.takes(","));
    if (!this.takes("}")) throw malformed("document is not JSON");
    return found;
  }

  private list(depth: number): Json[] {
    if (depth > MAX_NESTING) throw malformed("document is nested too deeply");
    const found: Json[] = [];
    this.at++;
    if (this.takes("]")) return found;
    do found.push(this.value(depth));
    while (this.takes(","));
    if (!this.takes("]")) throw malformed("document is not JSON");
    return found;
  }

  private number(): bigint {
    const digits = this.skip(NUMBER);
    if (digits === "" || digits.length > MAX_DIGITS || this.skip(FRACTION) !== "") throw malformed("document is not JSON");
    return BigInt(digits);
  }

  private string(): string {
    this.at++;
    let found = "";
    for (;;) {
      found += this.skip(PLAIN);
      const next = this.text[this.at++];
      if (next === '"') return found;
      if (next !== "\\") throw malformed("document is not JSON");
      found += this.escape();
    }
  }

  private escape(): string {
    const kind = this.text[this.at++] ?? "";
    if (kind !== "u") {
      const character = Object.hasOwn(ESCAPES, kind) ? ESCAPES[kind] : undefined;
      if (character === undefined) throw malformed("document is not JSON");
      return character;
    }
    const digits = this.text.slice(this.at, this.at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw malformed("document is not JSON");
    this.at += 4;
    return String.fromCharCode(parseInt(digits, 16));
  }

  private takes(character: string): boolean {
    this.skip(SPACE);
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private skip(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? "";
    this.at += found.length;
    return found;
  }
}

function quoted(text: string): string {
  let written = "";
  for (let place = 0; place < text.length; place++) {
    const unit = text.charCodeAt(place);
    const character = text[place] as string;
    const escape = SHORT[character];
    if (escape !== undefined) written += escape;
    else if (unit >= 0x20 && unit <= 0x7e) written += character;
    else written += `\\u${unit.toString(16).padStart(4, "0")}`;
  }
  return `"${written}"`;
}

function byCodePoints(one: string, other: string): number {
  const [left, right] = [[...one], [...other]];
  for (let place = 0; place < Math.min(left.length, right.length); place++) {
    const difference = ((left[place] as string).codePointAt(0) ?? 0) - ((right[place] as string).codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

// --- reading members ---------------------------------------------------------------------------------------------

/** The value as an object with exactly these members. */
export function members<N extends string>(value: Json | undefined, ...names: readonly N[]): Record<N, Json> {
  const fields = object(value);
  if (Object.keys(fields).length !== names.length || !names.every((name) => name in fields)) {
    throw malformed(`object does not have exactly its members: ${names.join(", ")}`);
  }
  return fields as Record<N, Json>;
}

export function object(value: Json | undefined): JsonObject {
  if (value === null || value === undefined || typeof value !== "object" || Array.isArray(value)) {
    throw malformed("value is not a JSON object");
  }
  return value;
}

export function items(value: Json | undefined, limit: number): Json[] {
  if (!Array.isArray(value) || value.length > limit) throw malformed("not a list within its limit");
  return value;
}

export function text(value: Json | undefined, limit: number): string {
  if (typeof value !== "string" || [...value].length > limit) throw malformed("not a string within its limit");
  return value;
}

export function integer(value: Json | undefined, high = (1n << 63n) - 1n): bigint {
  if (typeof value !== "bigint" || value < 0n || value > high) throw malformed("not a whole number in its range");
  return value;
}

/** A decimal string, for amounts. */
export function decimal(value: Json | undefined, high: bigint): bigint {
  if (typeof value !== "string" || !DECIMAL.test(value) || BigInt(value) > high) {
    throw malformed("not a decimal number in its range");
  }
  return BigInt(value);
}

export function boolean(value: Json | undefined): boolean {
  if (typeof value !== "boolean") throw malformed("neither true nor false");
  return value;
}

export function hexBytes(value: Json | undefined, limit: number): Bytes {
  if (typeof value !== "string" || value.length > 2 * limit) throw malformed("not lower-case hex within its limit");
  return fromHex(value);
}

export function optional<V>(value: Json | undefined, read: (value: Json) => V): V | null {
  return value === null || value === undefined ? null : read(value);
}
