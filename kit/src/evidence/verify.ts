/** Evidence files and anchors: `verify` recomputes question, answer and block from the proof, or throws. */
import { type Bytes, equal, fromHex, sha256, toBigInt, toHex, utf8 } from "./bytes.js";
import { dump, hexBytes, integer, items, type Json, load, members, optional, text } from "./canonical.js";
import { type Header, isNil } from "./cometbft.js";
import { invalid, malformed, ProofError, rejected } from "./errors.js";
import { type Account, decodeHeader, EMPTY_CODE_HASH, MAX_HEADER_BYTES, MAX_NODE_BYTES, MAX_NODES, verifyAccount, verifyStorage } from "./ethereum.js";
import { chain, chainOf, MAX_IDENTIFIER_CHARS } from "./identifiers.js";
import { evmAddress, laneSlot, parseLane, readLane } from "./lanes.js";
import { accountLeaf, amount, headerLeaf, lockLeaf, recordLeaf } from "./leaves.js";
import { type Anchor, target, type Trail, readTrail, writeTrail, verifyTrail } from "./light.js";
import { type Answer, readAnswer, writeAnswer, type AsOf, readAsOf, writeAsOf, type Question, readQuestion } from "./questions.js";
import { decodeSparseProof, MAX_PROOF_BYTES, type SparseProof, verifySparse } from "./trees.js";

const VERSION = 1n;
const MAX_ENTRIES = 8;
const MAX_LEAF_BYTES = 1 << 18;
const MAX_TRUSTING_PERIOD_S = 10n * 365n * 86_400n;
const NAME = /^[a-z0-9][-_.a-z0-9]{0,63}$/;
const LEDGER_LOCK = /^([0-9a-f]{40})\/([0-9a-f]{64})$/;

/** A proven answer. Only `verify` makes one. */
export interface Verified {
  readonly question: Question;
  readonly answer: Answer;
  readonly asOf: AsOf;
}

type ReadLeaf = (key: Bytes) => Bytes | null;

/** Read an anchor file, in any layout, since people write these. */
export function readAnchor(data: Bytes): Anchor {
  const names = ["version", "chain", "genesis_hash", "trusted_height", "trusted_hash", "trusting_period_s"] as const;
  const fields = members(load(data, true), ...names);
  if (fields.version !== VERSION) throw malformed("anchor has an unknown format version");
  return {
    chain: chain(text(fields.chain, MAX_IDENTIFIER_CHARS)),
    genesisHash: hash(fields.genesis_hash),
    trustedHeight: integer(fields.trusted_height),
    trustedHash: hash(fields.trusted_hash),
    trustingPeriodS: integer(fields.trusting_period_s, MAX_TRUSTING_PERIOD_S),
  };
}

/**
 * Believe an evidence file or throw a `ProofError`. `now` is the verifier's own time, in whole Unix seconds.
 *
 * Nothing is asked of anybody: what is believed follows from the file and the anchor alone.
 */
export function verify(evidence: Bytes, anchor: Anchor, now: bigint = BigInt(Math.floor(Date.now() / 1000))): Verified {
  const fields = members(load(evidence), "version", "kind", "question", "answer", "as_of", "proof", "digest");
  if (fields.version !== VERSION) throw malformed("evidence has an unknown format version");
  const { digest, ...body } = fields;
  if (digest !== toHex(sha256(utf8(dump(body))))) throw malformed("evidence is damaged: its digest does not match");
  const question = readQuestion(fields.question);
  const [answer, asOf] = [readAnswer(fields.answer), readAsOf(fields.as_of)];
  const kind = text(fields.kind, MAX_IDENTIFIER_CHARS);
  const proven = proveBy(kind, question, fields.proof, anchor, now);
  if (dump(writeAnswer(answer)) !== dump(writeAnswer(proven.answer)) || dump(writeAsOf(asOf)) !== dump(writeAsOf(proven.asOf))) {
    throw invalid("the proof shows another answer than the evidence says");
  }
  return proven;
}

function proveBy(kind: string, question: Question, proof: Json, anchor: Anchor, now: bigint): Verified {
  switch (kind) {
    case "consortium-state":
      return consortium(question, proof, anchor, now);
    case "ethereum-state":
      return ethereum(question, proof, anchor, now);
    default:
      throw malformed(`there is no verifier for evidence of kind ${JSON.stringify(kind.slice(0, 64))}`);
  }
}

const hash = (value: Json): Bytes => {
  const raw = hexBytes(value, 32);
  if (raw.length !== 32) throw malformed("a hash has 32 bytes");
  return raw;
};

// --- entries: leaves with their proofs -----------------------------------------------------------------------------

interface Entry {
  readonly value: Bytes | null;
  readonly proof: SparseProof;
}

function readEntries(value: Json): Entry[] {
  return items(value, MAX_ENTRIES).map((entry) => {
    const fields = members(entry, "value", "proof");
    const leaf = optional(fields.value, (raw) => hexBytes(raw, MAX_LEAF_BYTES));
    if (leaf?.length === 0) throw malformed("a leaf is never empty");
    return { value: leaf, proof: decodeSparseProof(hexBytes(fields.proof, MAX_PROOF_BYTES)) };
  });
}

/** Hands out leaves in order, each proven under the root before. `finish` refuses those that nobody asked for. */
function provenState(root: Bytes, entries: readonly Entry[]): { read: ReadLeaf; finish: () => void } {
  let used = 0;
  return {
    read(key) {
      const entry = entries[used++];
      if (entry === undefined) throw invalid("proof lacks a leaf that the question needs");
      verifySparse(root, key, entry.value, entry.proof);
      return entry.value;
    },
    finish() {
      if (used !== entries.length) throw invalid("proof has more leaves than the question needs");
    },
  };
}

function checkedTrail(value: Json, anchor: Anchor, now: bigint): Trail {
  const trail = readTrail(value);
  // Unknown members, and other spellings of known ones, are refused.
  if (dump(writeTrail(trail)) !== dump(value)) throw malformed("proof is not in its canonical form");
  verifyTrail(trail, anchor, now);
  return trail;
}

// --- consortium ----------------------------------------------------------------------------------------------------

function consortium(question: Question, value: Json, anchor: Anchor, now: bigint): Verified {
  const fields = members(value, "trail", "entries");
  const entries = readEntries(fields.entries);
  if (question.chain !== anchor.chain) throw new ProofError("wrong-anchor", "question is about another chain");
  const header = target(checkedTrail(fields.trail, anchor, now));
  if (isNil(header.lastBlockId)) throw invalid("the first header commits to no block's state");
  const state = provenState(header.appHash, entries);
  const time = counter(state.read(utf8("clock"))) / 1000n;
  const answer = ledgerAnswer(question, state.read, header);
  state.finish();
  const block = { height: header.height - 1n, blockHash: toHex(header.lastBlockId.hash) };
  return { question, answer, asOf: { chain: question.chain, ...block, time, finality: "commit" } };
}

function ledgerAnswer(question: Question, read: ReadLeaf, header: Header): Answer {
  switch (question.type) {
    case "record":
      return record(question, read);
    case "lock":
      return ledgerLock(question, read, header.appVersion);
    case "balance":
      return ledgerBalance(question, read);
  }
}

function record(question: Question & { type: "record" }, read: ReadLeaf): Answer {
  for (const name of [question.namespace, question.key]) {
    if (!NAME.test(name)) throw rejected(`${JSON.stringify(name.slice(0, 64))} is not a name of a record`);
  }
  const place = `records/${question.namespace}/${question.key}`;
  const version = counter(read(utf8(`${place}/count`)));
  if (version === 0n) return { type: "record", version: 0n, author: null, document: "" };
  const raw = read(utf8(`${place}/${version}`));
  if (raw === null) throw invalid("the newest version of the record is missing");
  const leaf = recordLeaf(raw);
  if (leaf.version !== version) throw invalid("the record's leaf is of another version");
  return { type: "record", version, author: `${question.chain}:${toHex(leaf.author)}`, document: toHex(leaf.document) };
}

function ledgerLock(question: Question & { type: "lock" }, read: ReadLeaf, appVersion: bigint): Answer {
  if (question.holder !== null) throw rejected("locks of a consortium chain are held by the ledger, not by a contract");
  requireChain(question.chain, question.terms.asset);
  const [, sender, hashlock] = LEDGER_LOCK.exec(question.lockId) ?? [];
  if (sender === undefined || hashlock === undefined) throw rejected("this is not a lock id of a consortium chain");
  const raw = read(bytesKey("htlc/lock/", sender, hashlock));
  const codeHash = toHex(sha256(utf8(`causeway ledger app version ${appVersion}`)));
  if (raw === null) return { type: "lock", status: "absent", termsMatch: false, codeHash };
  const leaf = lockLeaf(raw);
  const { terms } = question;
  const termsMatch =
    leaf.asset === symbolOf(terms.asset) &&
    toHex(leaf.sender) === ledgerAddress(terms.sender) &&
    toHex(leaf.receiver) === ledgerAddress(terms.receiver) &&
    toHex(leaf.hashlock) === terms.hashlock &&
    leaf.timelock === terms.timelock &&
    amount(leaf.amount) === terms.amount;
  return { type: "lock", status: leaf.status, termsMatch, codeHash };
}

function ledgerBalance(question: Question & { type: "balance" }, read: ReadLeaf): Answer {
  requireChain(question.chain, question.account);
  requireChain(question.chain, question.asset);
  const raw = read(bytesKey("bank/account/", ledgerAddress(question.account)));
  const held = raw === null ? undefined : accountLeaf(raw).find(([symbol]) => symbol === symbolOf(question.asset));
  return { type: "balance", amount: held === undefined ? 0n : amount(held[1]) };
}

function bytesKey(prefix: string, ...hex: readonly string[]): Bytes {
  return Uint8Array.from([...utf8(prefix), ...fromHex(hex.join(""))]);
}

function counter(raw: Bytes | null): bigint {
  if (raw === null) return 0n;
  if (raw.length !== 8) throw invalid("a counter's leaf has eight bytes");
  return toBigInt(raw);
}

function requireChain(of: string, identifier: string): void {
  if (chainOf(identifier) !== of) throw rejected(`${JSON.stringify(identifier.slice(0, 128))} is not of ${of}`);
}

const symbolOf = (asset: string): string => {
  const found = /^causeway:[^/]+\/asset:(.+)$/.exec(asset)?.[1];
  if (found === undefined) throw rejected("this is not an asset of a consortium chain");
  return found;
};

const ledgerAddress = (account: string): string => {
  const found = /^[^:]+:[^:]+:([0-9a-f]{40})$/.exec(account)?.[1];
  if (found === undefined) throw rejected("this is not an account of a consortium chain");
  return found;
};

// --- Ethereum --------------------------------------------------------------------------------------------------------

function ethereum(question: Question, value: Json, anchor: Anchor, now: bigint): Verified {
  const fields = members(value, "trail", "attestation", "header", "account_nodes", "storage_nodes");
  const attestation = readEntries(fields.attestation);
  if (attestation.length !== 1) throw malformed("exactly one leaf attests the header");
  const [accountNodes, storageNodes] = [fields.account_nodes, fields.storage_nodes].map((nodes) =>
    items(nodes, MAX_NODES).map((node) => hexBytes(node, MAX_NODE_BYTES)),
  ) as [Bytes[], Bytes[]];
  const raw = hexBytes(fields.header, MAX_HEADER_BYTES);
  const trail = checkedTrail(fields.trail, anchor, now);
  const header = decodeHeader(raw);
  const { read } = provenState(target(trail).appHash, attestation);
  const leaf = read(utf8(`bridge/header/${question.chain}/${header.number}`));
  if (leaf === null) throw invalid("the ledger has not attested a header at this height");
  const attested = headerLeaf(leaf);
  if (!equal(attested.blockHash, header.hash) || attested.time !== header.timestamp) {
    throw invalid("the ledger attests another header at this height");
  }
  const account = verifyAccount(header.stateRoot, provenAddress(question), accountNodes);
  const block = { height: header.number, blockHash: toHex(header.hash), time: header.timestamp };
  return { question, answer: ethereumAnswer(question, account, storageNodes), asOf: { chain: question.chain, ...block, finality: "attested" } };
}

/** The account whose proof answers. */
function provenAddress(question: Question): Bytes {
  let account: string;
  if (question.type === "lock") {
    if (question.holder === null) throw rejected("a lock on Ethereum is held by a contract, and the question names none");
    account = question.holder;
  } else if (question.type === "balance" && question.asset === `${question.chain}/slip44:60`) {
    account = question.account;
  } else {
    throw rejected("Ethereum's state proves locks and balances of the native coin only");
  }
  requireChain(question.chain, account);
  return evmAddress(account);
}

function ethereumAnswer(question: Question, account: Account | null, storageNodes: readonly Bytes[]): Answer {
  if (question.type !== "lock") {
    if (storageNodes.length > 0) throw invalid("an account's balance needs no storage proof");
    return { type: "balance", amount: account?.balance ?? 0n };
  }
  if (chainOf(question.terms.asset) !== question.chain) throw rejected("the terms are of another chain than the question");
  const lane = parseLane(question.lockId);
  if (account === null) {
    if (storageNodes.length > 0) throw invalid("an absent account has no storage");
    return { type: "lock", status: "absent", termsMatch: false, codeHash: toHex(EMPTY_CODE_HASH) };
  }
  const word = verifyStorage(account.storageRoot, laneSlot(lane), storageNodes);
  return { type: "lock", ...readLane(word, question.terms, lane), codeHash: toHex(account.codeHash) };
}

