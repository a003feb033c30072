/** Kinds about Ethereum, under headers that a ledger attests, or sync committees, or both: state, token balances, logs. */
import { type Bytes, equal, fromHex, keccak256, toHex, utf8 } from "./bytes.js";
import { hexBytes, integer, items, type Json, type JsonObject, members, optional } from "./canonical.js";
import { unavailable } from "../errors.js";
import { invalid, malformed, ProofError, rejected } from "./errors.js";
import {
  type Account,
  decodeHeader,
  decodeReceipt,
  EMPTY_CODE_HASH,
  type EthereumHeader,
  indexKey,
  MAX_HEADER_BYTES,
  MAX_NODE_BYTES,
  MAX_NODES,
  MAX_RECEIPT_NODE_BYTES,
  verifyAccount,
  verifyStorage,
  verifyTrie,
} from "./ethereum.js";
import { chainOf } from "./identifiers.js";
import { evmAddress, laneSlot, parseLane, readLane, splitLane } from "./lanes.js";
import { balanceIn, balanceSlot, layoutOf, type ProxyLayout, proxySlots, type TokenLayout } from "./layouts.js";
import { headerLeaf } from "./leaves.js";
import { requireChain } from "./ledger.js";
import type { Ground } from "./grounds.js";
import { target } from "./light.js";
import type { Answer, AsOf, Question, Verified } from "./questions.js";
import { checkedTrail, type Entry, provenState, readEntries } from "./state.js";

const MAX_BLOCK_LINKS = 256;
const MAX_TRANSACTION_INDEX = 2n ** 16n - 1n;
const ADDRESS_BITS = 160n;

const readNodes = (value: Json, maxBytes = MAX_NODE_BYTES): Bytes[] =>
  items(value, MAX_NODES).map((node) => hexBytes(node, maxBytes));

const readHeader = (value: Json): Bytes => hexBytes(value, MAX_HEADER_BYTES);

/** A header that is vouched for, the rule by which the evidence calls it final, and the rules that were checked. */
interface Vouched {
  readonly header: EthereumHeader;
  readonly finality: string;
  readonly reliesOn: readonly string[];
}

/** The members that vouch for a header, of those that a proof has: one way at least, and no half of one. */
function voucherNames(value: Json): string[] {
  const found = value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
  const attested = "trail" in found || "attestation" in found ? ["trail", "attestation"] : [];
  return [...attested, ...("sync" in found || attested.length === 0 ? ["sync"] : [])];
}

/** The header, once every way that is carried and has an anchor is shown to hold. */
async function vouched(chain: string, raw: Bytes, fields: JsonObject, ground: Ground, now: bigint): Promise<Vouched> {
  const attestation = fields.attestation === undefined ? null : readEntries(fields.attestation);
  if (attestation !== null && attestation.length !== 1) throw malformed("exactly one leaf attests the header");
  const committees = fields.sync === undefined ? null : await syncCommittees();
  const sync = committees === null ? null : committees.readSync(fields.sync as Json);
  const trail = fields.trail === undefined ? null : checkedTrail(fields.trail, ground.ledger, now);
  const reliesOn = trail !== null && ground.ledger !== null ? ["attested"] : [];
  if (committees !== null && sync !== null && ground.beacon !== null) {
    committees.verifySynced(chain, decodeHeader(raw), sync, ground.beacon, now);
    reliesOn.push("sync-committee");
  }
  const finality = [...(trail === null ? [] : ["attested"]), ...(sync === null ? [] : ["sync-committee"])].join("+");
  if (reliesOn.length === 0) throw new ProofError("wrong-anchor", `the evidence is final by ${finality}: take an anchor for that`);
  const header = decodeHeader(raw);
  if (trail !== null && attestation !== null) requireAttested(chain, header, target(trail).appHash, attestation);
  return { header, finality, reliesOn };
}

/** The reader and verifier of sync committees, a chunk of its own: most evidence does without its BLS signatures. */
async function syncCommittees(): Promise<typeof import("./sync.js")> {
  try {
    return await import("./sync.js");
  } catch (error) {
    throw unavailable(`the part that checks sync committees did not load, try again: ${String((error as Error).message)}`);
  }
}

function requireAttested(chain: string, header: EthereumHeader, root: Bytes, attestation: readonly Entry[]): void {
  const leaf = provenState(root, attestation).read(utf8(`bridge/header/${chain}/${header.number}`));
  if (leaf === null) throw invalid("the ledger has not attested a header at this height");
  const attested = headerLeaf(leaf);
  if (!equal(attested.blockHash, header.hash) || attested.time !== header.timestamp) {
    throw invalid("the ledger attests another header at this height");
  }
}

const asOf = (chain: string, header: EthereumHeader, finality: string): AsOf => ({
  chain,
  height: header.number,
  blockHash: toHex(header.hash),
  time: header.timestamp,
  finality,
});

// --- state -----------------------------------------------------------------------------------------------------------

/** Kind `ethereum-state`: locks and lanes of the HashedTimelock contract, storage words, the native coin. */
export async function verifyState(question: Question, value: Json, ground: Ground, now: bigint): Promise<Verified> {
  const fields: JsonObject = members(value, ...voucherNames(value), "header", "account_nodes", "storage_nodes");
  const [accountNodes, storageNodes] = [readNodes(fields.account_nodes as Json), readNodes(fields.storage_nodes as Json)];
  const raw = readHeader(fields.header as Json);
  const { header, finality, reliesOn } = await vouched(question.chain, raw, fields, ground, now);
  const account = verifyAccount(header.stateRoot, provenAddress(question), accountNodes);
  return { question, answer: stateAnswer(question, account, storageNodes), asOf: asOf(question.chain, header, finality), reliesOn };
}

/** The account whose proof answers. */
function provenAddress(question: Question): Bytes {
  const account = provenAccount(question);
  requireChain(question.chain, account);
  return evmAddress(account);
}

function provenAccount(question: Question): string {
  if (question.type === "lock" && question.holder !== null) return question.holder;
  if (question.type === "lock") throw rejected("a lock on Ethereum is held by a contract, and the question names none");
  if (question.type === "lane") return question.holder;
  if (question.type === "storage") return question.contract;
  if (question.type === "balance" && question.asset === `${question.chain}/slip44:60`) return question.account;
  throw rejected("an account's state on Ethereum proves locks, lanes, storage words and balances of the native coin only");
}

function slotOf(question: Question): bigint | null {
  switch (question.type) {
    case "lock":
      return laneSlot(parseLane(question.lockId));
    case "lane":
      return laneSlot({ sender: evmAddress(question.sender), number: question.lane, generation: 0n });
    case "storage":
      return question.slot;
    default:
      return null;
  }
}

function stateAnswer(question: Question, account: Account | null, storageNodes: readonly Bytes[]): Answer {
  const slot = slotOf(question);
  if (slot === null) {
    if (storageNodes.length > 0) throw invalid("an account's balance needs no storage proof");
    return { type: "balance", amount: account?.balance ?? 0n };
  }
  if (question.type === "lock" && chainOf(question.terms.asset) !== question.chain) {
    throw rejected("the terms are of another chain than the question");
  }
  if (account === null && storageNodes.length > 0) throw invalid("an absent account has no storage");
  const word = account === null ? 0n : verifyStorage(account.storageRoot, slot, storageNodes);
  const codeHash = toHex(account?.codeHash ?? EMPTY_CODE_HASH);
  switch (question.type) {
    case "lock":
      return { type: "lock", ...readLane(word, question.terms, parseLane(question.lockId)), codeHash };
    case "lane":
      return { type: "lane", ...splitLane(word), codeHash };
    default:
      return { type: "storage", word, codeHash };
  }
}

// --- tokens ----------------------------------------------------------------------------------------------------------

/** Kind `ethereum-token`: a token's balance, for code whose layout somebody has reviewed. */
export async function verifyToken(
  question: Question,
  value: Json,
  ground: Ground,
  now: bigint,
  layouts: readonly TokenLayout[],
): Promise<Verified> {
  const names = ["header", "account_nodes", "balance_nodes", "implementation"];
  const fields: JsonObject = members(value, ...voucherNames(value), ...names);
  const [accountNodes, balanceNodes] = [readNodes(fields.account_nodes as Json), readNodes(fields.balance_nodes as Json)];
  const behind = optional(fields.implementation, (one) => {
    const parts = members(one, "slot_nodes", "account_nodes");
    return { slotNodes: readNodes(parts.slot_nodes), accountNodes: readNodes(parts.account_nodes) };
  });
  const raw = readHeader(fields.header as Json);
  const { header, finality, reliesOn } = await vouched(question.chain, raw, fields, ground, now);
  if (question.type !== "balance" || !question.asset.includes("/erc20:")) {
    throw rejected("a token's layout proves balances of ERC-20 tokens only");
  }
  if (chainOf(question.account) !== question.chain || chainOf(question.asset) !== question.chain) {
    throw rejected(`account and asset of the balance have to be on ${question.chain}`);
  }
  const token = fromHex(question.asset.slice(question.asset.lastIndexOf(":") + 3));
  const holder = evmAddress(question.account);
  const account = verifyAccount(header.stateRoot, token, accountNodes);
  if (account === null || equal(account.codeHash, EMPTY_CODE_HASH)) throw invalid("there is no contract at the token's address");
  const proxy = behind === null ? null : implementation(header, account, behind, layouts);
  const layout = layoutOf(layouts, account.codeHash, proxy);
  if (layout === undefined) throw invalid(`nobody has reviewed where code ${toHex(account.codeHash)} keeps balances`);
  const word = verifyStorage(account.storageRoot, balanceSlot(layout, holder), balanceNodes);
  return { question, answer: { type: "balance", amount: balanceIn(layout, word) }, asOf: asOf(question.chain, header, finality), reliesOn };
}

function implementation(
  header: EthereumHeader,
  account: Account,
  behind: { slotNodes: readonly Bytes[]; accountNodes: readonly Bytes[] },
  layouts: readonly TokenLayout[],
): ProxyLayout {
  const [slot, ...others] = proxySlots(layouts, account.codeHash);
  if (slot === undefined || others.length > 0) {
    throw invalid(`no reviewed layout says that code ${toHex(account.codeHash)} is a proxy's`);
  }
  const word = verifyStorage(account.storageRoot, slot, behind.slotNodes);
  if (word === 0n || word >> ADDRESS_BITS !== 0n) throw invalid("the proxy's word does not name an implementation");
  const found = verifyAccount(header.stateRoot, fromHex(word.toString(16).padStart(40, "0")), behind.accountNodes);
  if (found === null) throw invalid("there is no contract at the implementation's address");
  return { slot, codeHash: found.codeHash };
}

// --- logs --------------------------------------------------------------------------------------------------------------

/** Kind `ethereum-log`: a log of a transaction, in a block that hashes lead to from an attested header. */
export async function verifyLog(question: Question, value: Json, ground: Ground, now: bigint): Promise<Verified> {
  const names = ["headers", "index", "transaction_nodes", "receipt_nodes"];
  const fields: JsonObject = members(value, ...voucherNames(value), ...names);
  const headers = items(fields.headers, MAX_BLOCK_LINKS + 1).map(readHeader);
  const index = integer(fields.index, MAX_TRANSACTION_INDEX);
  const transactionNodes = readNodes(fields.transaction_nodes as Json, MAX_RECEIPT_NODE_BYTES);
  const receiptNodes = readNodes(fields.receipt_nodes as Json, MAX_RECEIPT_NODE_BYTES);
  const [first, ...older] = headers;
  if (first === undefined) throw malformed("the proof has no header");
  const { finality, reliesOn, ...final } = await vouched(question.chain, first, fields, ground, now);
  if (question.type !== "log") throw rejected("a receipt proves logs of transactions only");
  let { header } = final;
  for (const raw of older) {
    const parent = decodeHeader(raw);
    if (!equal(parent.hash, header.parentHash) || parent.number + 1n !== header.number) {
      throw invalid("a header is not the parent of the one before");
    }
    header = parent;
  }
  const transaction = verifyTrie(header.transactionsRoot, indexKey(index), transactionNodes, MAX_RECEIPT_NODE_BYTES);
  if (transaction === null || toHex(keccak256(transaction)) !== question.transaction) {
    throw invalid("another transaction stands at this index of the block");
  }
  const leaf = verifyTrie(header.receiptsRoot, indexKey(index), receiptNodes, MAX_RECEIPT_NODE_BYTES);
  if (leaf === null) throw invalid("the block has no receipt of the transaction");
  const receipt = decodeReceipt(leaf);
  const found = receipt.logs[Number(question.index)];
  const log =
    found === undefined
      ? null
      : { contract: `${question.chain}:0x${toHex(found.address)}`, topics: found.topics.map(toHex), data: toHex(found.data) };
  const answer: Answer = { type: "log", succeeded: receipt.succeeded, count: BigInt(receipt.logs.length), log };
  return { question, answer, asOf: asOf(question.chain, header, finality), reliesOn };
}
