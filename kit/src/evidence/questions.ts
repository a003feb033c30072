/** Questions and answers, as an evidence file has them. Numbers are `bigint`, bytes stay hex. */
import { boolean, decimal, hexBytes, integer, items, type Json, type JsonObject, members, optional, text } from "./canonical.js";
import { malformed } from "./errors.js";
import { account, asset, chain, chainOf, MAX_IDENTIFIER_CHARS } from "./identifiers.js";

const MAX_AMOUNT = 2n ** 256n - 1n;
const MAX_TIMELOCK = 2n ** 40n - 1n;
const MAX_LEAF_BYTES = 1 << 18;
const MAX_STATE_KEY_BYTES = 256;
const MAX_LIST_ENTRIES = 100n;
const MAX_WORD = 2n ** 256n - 1n;
const MAX_LANE = 2n ** 32n - 1n;
const MAX_GENERATION = 2n ** 16n - 1n;
const MAX_LOG_INDEX = 2n ** 16n - 1n;
const MAX_TOPICS = 4;
export const MAX_CODE = 2n ** 32n - 1n;
export const MAX_TRANSACTION_BYTES = 64 * 1024;
const COMMITMENT_BYTES = 28;
const STATUSES = ["absent", "locked", "claimed", "refunded", "superseded"] as const;

export type LockStatus = (typeof STATUSES)[number];

export interface Terms {
  readonly asset: string;
  readonly amount: bigint;
  readonly sender: string;
  readonly receiver: string;
  readonly hashlock: string;
  readonly timelock: bigint;
}

export type Question =
  | { readonly type: "record"; readonly chain: string; readonly namespace: string; readonly key: string }
  | { readonly type: "lock"; readonly chain: string; readonly lockId: string; readonly terms: Terms; readonly holder: string | null }
  | { readonly type: "balance"; readonly chain: string; readonly account: string; readonly asset: string }
  | { readonly type: "leaf"; readonly chain: string; readonly key: string }
  | { readonly type: "list"; readonly chain: string; readonly name: string; readonly first: bigint; readonly last: bigint }
  | { readonly type: "storage"; readonly chain: string; readonly contract: string; readonly slot: bigint }
  | { readonly type: "lane"; readonly chain: string; readonly holder: string; readonly sender: string; readonly lane: bigint }
  | { readonly type: "log"; readonly chain: string; readonly transaction: string; readonly index: bigint }
  | { readonly type: "transaction"; readonly chain: string; readonly transaction: string };

export interface EventLog {
  readonly contract: string;
  readonly topics: readonly string[];
  readonly data: string;
}

/**
 * A record's version 0 with no author and an empty document says: proven absent. A transaction of a ledger has the code
 * 0 if all its messages took effect, otherwise none did; `raw` are its bytes.
 */
export type Answer =
  | { readonly type: "record"; readonly version: bigint; readonly author: string | null; readonly document: string }
  | { readonly type: "lock"; readonly status: LockStatus; readonly termsMatch: boolean; readonly codeHash: string }
  | { readonly type: "balance"; readonly amount: bigint }
  | { readonly type: "leaf"; readonly value: string | null }
  | { readonly type: "list"; readonly count: bigint; readonly entries: readonly string[] }
  | { readonly type: "storage"; readonly word: bigint; readonly codeHash: string }
  | {
      readonly type: "lane";
      readonly status: LockStatus;
      readonly generation: bigint;
      readonly commitment: string;
      readonly codeHash: string;
    }
  | { readonly type: "log"; readonly succeeded: boolean; readonly count: bigint; readonly log: EventLog | null }
  | { readonly type: "transaction"; readonly code: bigint; readonly raw: string };

/** The block whose state answers; `time` is its own chain's, in Unix seconds. */
export interface AsOf {
  readonly chain: string;
  readonly height: bigint;
  readonly blockHash: string;
  readonly time: bigint;
  readonly finality: string;
}

/** A proven answer. Only `verify` makes one. */
export interface Verified {
  readonly question: Question;
  readonly answer: Answer;
  readonly asOf: AsOf;
  /** Which of the rules in `asOf.finality` were checked: evidence may carry more than the reader has anchors for. */
  readonly reliesOn: readonly string[];
}

const name = (value: Json): string => text(value, MAX_IDENTIFIER_CHARS);
const hash = (value: Json): string => {
  if (hexBytes(value, 32).length !== 32) throw malformed("a hash has 32 bytes");
  return value as string;
};

export function readQuestion(value: Json): Question {
  switch (kindOf(value)) {
    case "record": {
      const fields = members(value, "type", "chain", "namespace", "key");
      return { type: "record", chain: chain(name(fields.chain)), namespace: name(fields.namespace), key: name(fields.key) };
    }
    case "lock": {
      const fields = members(value, "type", "chain", "lock_id", "terms", "holder");
      return {
        type: "lock",
        chain: chain(name(fields.chain)),
        lockId: name(fields.lock_id),
        terms: readTerms(fields.terms),
        holder: optional(fields.holder, (holder) => account(name(holder))),
      };
    }
    case "balance": {
      const fields = members(value, "type", "chain", "account", "asset");
      return { type: "balance", chain: chain(name(fields.chain)), account: account(name(fields.account)), asset: asset(name(fields.asset)) };
    }
    case "leaf": {
      const fields = members(value, "type", "chain", "key");
      if (hexBytes(fields.key, MAX_STATE_KEY_BYTES).length === 0) throw malformed("question is malformed: a state key has a byte");
      return { type: "leaf", chain: chain(name(fields.chain)), key: fields.key as string };
    }
    case "list": {
      const fields = members(value, "type", "chain", "name", "first", "last");
      const [first, last] = [integer(fields.first), integer(fields.last)];
      const listed = name(fields.name);
      if (listed === "" || first < 1n || last < first || last - first >= MAX_LIST_ENTRIES) {
        throw malformed("question is malformed: a list has no such places");
      }
      return { type: "list", chain: chain(name(fields.chain)), name: listed, first, last };
    }
    case "storage": {
      const fields = members(value, "type", "chain", "contract", "slot");
      const on = chain(name(fields.chain));
      return { type: "storage", chain: on, contract: accountOn(on, fields.contract), slot: decimal(fields.slot, MAX_WORD) };
    }
    case "lane": {
      const fields = members(value, "type", "chain", "holder", "sender", "lane");
      const on = chain(name(fields.chain));
      const [holder, sender] = [accountOn(on, fields.holder), accountOn(on, fields.sender)];
      return { type: "lane", chain: on, holder, sender, lane: integer(fields.lane, MAX_LANE) };
    }
    case "log": {
      const fields = members(value, "type", "chain", "transaction", "index");
      return {
        type: "log",
        chain: chain(name(fields.chain)),
        transaction: hash(fields.transaction),
        index: integer(fields.index, MAX_LOG_INDEX),
      };
    }
    case "transaction": {
      const fields = members(value, "type", "chain", "transaction");
      return { type: "transaction", chain: chain(name(fields.chain)), transaction: hash(fields.transaction) };
    }
    default:
      throw malformed("question has an unknown type");
  }
}

function accountOn(on: string, value: Json): string {
  const found = account(name(value));
  if (chainOf(found) !== on) throw malformed(`question is malformed: an account is not on ${on}`);
  return found;
}

function readTerms(value: Json): Terms {
  const fields = members(value, "asset", "amount", "sender", "receiver", "hashlock", "timelock");
  const held = asset(name(fields.asset));
  const terms = {
    asset: held,
    amount: decimal(fields.amount, MAX_AMOUNT),
    sender: account(name(fields.sender)),
    receiver: account(name(fields.receiver)),
    hashlock: hash(fields.hashlock),
    timelock: integer(fields.timelock, MAX_TIMELOCK),
  };
  if (new Set([terms.asset, terms.sender, terms.receiver].map(chainOf)).size !== 1) {
    throw malformed("question is malformed: a leg lives on one chain");
  }
  if (terms.amount === 0n || terms.timelock === 0n) throw malformed("question is malformed: a leg has an amount and a timelock");
  return terms;
}

export function readAnswer(value: Json): Answer {
  switch (kindOf(value)) {
    case "record": {
      const fields = members(value, "type", "version", "author", "document");
      const author = optional(fields.author, (one) => account(name(one)));
      return { type: "record", version: integer(fields.version), author, document: hex(fields.document, MAX_LEAF_BYTES) };
    }
    case "lock": {
      const fields = members(value, "type", "status", "terms_match", "code_hash");
      const status = statusOf(fields.status);
      return { type: "lock", status, termsMatch: boolean(fields.terms_match), codeHash: hex(fields.code_hash, 32) };
    }
    case "balance":
      return { type: "balance", amount: decimal(members(value, "type", "amount").amount, MAX_AMOUNT) };
    case "leaf": {
      const fields = members(value, "type", "value");
      return { type: "leaf", value: optional(fields.value, (one) => hex(one, MAX_LEAF_BYTES)) };
    }
    case "list": {
      const fields = members(value, "type", "count", "entries");
      const entries = items(fields.entries, Number(MAX_LIST_ENTRIES)).map((entry) => hex(entry, MAX_LEAF_BYTES));
      return { type: "list", count: integer(fields.count), entries };
    }
    case "storage": {
      const fields = members(value, "type", "word", "code_hash");
      return { type: "storage", word: decimal(fields.word, MAX_WORD), codeHash: hex(fields.code_hash, 32) };
    }
    case "lane": {
      const fields = members(value, "type", "status", "generation", "commitment", "code_hash");
      return {
        type: "lane",
        status: statusOf(fields.status),
        generation: integer(fields.generation, MAX_GENERATION),
        commitment: hex(fields.commitment, COMMITMENT_BYTES),
        codeHash: hex(fields.code_hash, 32),
      };
    }
    case "log": {
      const fields = members(value, "type", "succeeded", "count", "log");
      const [succeeded, count] = [boolean(fields.succeeded), integer(fields.count, MAX_LOG_INDEX + 1n)];
      return { type: "log", succeeded, count, log: optional(fields.log, readLog) };
    }
    case "transaction": {
      const fields = members(value, "type", "code", "raw");
      return { type: "transaction", code: integer(fields.code, MAX_CODE), raw: hex(fields.raw, MAX_TRANSACTION_BYTES) };
    }
    default:
      throw malformed("answer has an unknown type");
  }
}

function readLog(value: Json): EventLog {
  const fields = members(value, "contract", "topics", "data");
  return {
    contract: account(name(fields.contract)),
    topics: items(fields.topics, MAX_TOPICS).map((topic) => hex(topic, 32)),
    data: hex(fields.data, MAX_LEAF_BYTES),
  };
}

function hex(value: Json, limit: number): string {
  hexBytes(value, limit);
  return value as string;
}

function statusOf(value: Json): LockStatus {
  const status = STATUSES.find((one) => one === value);
  if (status === undefined) throw malformed("answer is malformed");
  return status;
}

export function readAsOf(value: Json): AsOf {
  const fields = members(value, "chain", "height", "block_hash", "time", "finality");
  return {
    chain: chain(name(fields.chain)),
    height: integer(fields.height),
    blockHash: hash(fields.block_hash),
    time: integer(fields.time),
    finality: name(fields.finality),
  };
}

export function writeAnswer(answer: Answer): JsonObject {
  switch (answer.type) {
    case "record":
      return { type: "record", version: answer.version, author: answer.author, document: answer.document };
    case "lock":
      return { type: "lock", status: answer.status, terms_match: answer.termsMatch, code_hash: answer.codeHash };
    case "balance":
      return { type: "balance", amount: answer.amount.toString() };
    case "leaf":
      return { type: "leaf", value: answer.value };
    case "list":
      return { type: "list", count: answer.count, entries: [...answer.entries] };
    case "storage":
      return { type: "storage", word: answer.word.toString(), code_hash: answer.codeHash };
    case "lane":
      return {
        type: "lane",
        status: answer.status,
        generation: answer.generation,
        commitment: answer.commitment,
        code_hash: answer.codeHash,
      };
    case "log": {
      const log = answer.log === null ? null : { ...answer.log, topics: [...answer.log.topics] };
      return { type: "log", succeeded: answer.succeeded, count: answer.count, log };
    }
    case "transaction":
      return { type: "transaction", code: answer.code, raw: answer.raw };
  }
}

export const writeAsOf = (asOf: AsOf): JsonObject => ({
  chain: asOf.chain,
  height: asOf.height,
  block_hash: asOf.blockHash,
  time: asOf.time,
  finality: asOf.finality,
});

function kindOf(value: Json): Json | undefined {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value["type"] : undefined;
}
