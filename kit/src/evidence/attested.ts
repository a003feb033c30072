/** Kinds about Ethereum, under headers that the consortium's ledger attests: state, token balances, logs. */
import { type Bytes, equal, fromHex, keccak256, toHex, utf8 } from "./bytes.js";
import { hexBytes, integer, items, type Json, members, optional } from "./canonical.js";
import { invalid, malformed, rejected } from "./errors.js";
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
import { type Anchor, target } from "./light.js";
import type { Answer, AsOf, Question, Verified } from "./questions.js";
import { checkedTrail, type Entry, provenState, readEntries } from "./state.js";

const MAX_BLOCK_LINKS = 256;
const MAX_TRANSACTION_INDEX = 2n ** 16n - 1n;
const ADDRESS_BITS = 160n;

const readNodes = (value: Json, maxBytes = MAX_NODE_BYTES): Bytes[] =>
  items(value, MAX_NODES).map((node) => hexBytes(node, maxBytes));

const readHeader = (value: Json): Bytes => hexBytes(value, MAX_HEADER_BYTES);

/** A state root that the trail leads to, and the leaf under it that attests a header. */
interface Ground {
  readonly root: Bytes;
  readonly attestation: readonly Entry[];
}

function ground(attestation: Json, trail: Json, anchor: Anchor, now: bigint): Ground {
  const entries = readEntries(attestation);
  if (entries.length !== 1) throw malformed("exactly one leaf attests the header");
  return { root: target(checkedTrail(trail, anchor, now)).appHash, attestation: entries };
}

/** The header, once the ledger's state is shown to attest exactly it. */
function attestedHeader(chain: string, raw: Bytes, { root, attestation }: Ground): EthereumHeader {
  const header = decodeHeader(raw);
  const leaf = provenState(root, attestation).read(utf8(`bridge/header/${chain}/${header.number}`));
  if (leaf === null) throw invalid("the ledger has not attested a header at this height");
  const attested = headerLeaf(leaf);
  if (!equal(attested.blockHash, header.hash) || attested.time !== header.timestamp) {
    throw invalid("the ledger attests another header at this height");
  }
  return header;
}

const asOf = (chain: string, header: EthereumHeader): AsOf => ({
  chain,
  height: header.number,
  blockHash: toHex(header.hash),
  time: header.timestamp,
  finality: "attested",
});

// --- state -----------------------------------------------------------------------------------------------------------

/** Kind `ethereum-state`: locks and lanes of the HashedTimelock contract, storage words, the native coin. */
export function verifyState(question: Question, value: Json, anchor: Anchor, now: bigint): Verified {
  const fields = members(value, "trail", "attestation", "header", "account_nodes", "storage_nodes");
  const [accountNodes, storageNodes] = [readNodes(fields.account_nodes), readNodes(fields.storage_nodes)];
  const raw = readHeader(fields.header);
  const header = attestedHeader(question.chain, raw, ground(fields.attestation, fields.trail, anchor, now));
  const account = verifyAccount(header.stateRoot, provenAddress(question), accountNodes);
  return { question, answer: stateAnswer(question, account, storageNodes), asOf: asOf(question.chain, header) };
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
export function verifyToken(
  question: Question,
  value: Json,
  anchor: Anchor,
  now: bigint,
  layouts: readonly TokenLayout[],
): Verified {
  const names = ["trail", "attestation", "header", "account_nodes", "balance_nodes", "implementation"] as const;
  const fields = members(value, ...names);
  const [accountNodes, balanceNodes] = [readNodes(fields.account_nodes), readNodes(fields.balance_nodes)];
  const behind = optional(fields.implementation, (one) => {
    const parts = members(one, "slot_nodes", "account_nodes");
    return { slotNodes: readNodes(parts.slot_nodes), accountNodes: readNodes(parts.account_nodes) };
  });
  const raw = readHeader(fields.header);
  const on = ground(fields.attestation, fields.trail, anchor, now);
  if (question.type !== "balance" || !question.asset.includes("/erc20:")) {
    throw rejected("a token's layout proves balances of ERC-20 tokens only");
  }
  if (chainOf(question.account) !== question.chain || chainOf(question.asset) !== question.chain) {
    throw rejected(`account and asset of the balance have to be on ${question.chain}`);
  }
  const token = fromHex(question.asset.slice(question.asset.lastIndexOf(":") + 3));
  const holder = evmAddress(question.account);
  const header = attestedHeader(question.chain, raw, on);
  const account = verifyAccount(header.stateRoot, token, accountNodes);
  if (account === null || equal(account.codeHash, EMPTY_CODE_HASH)) throw invalid("there is no contract at the token's address");
  const proxy = behind === null ? null : implementation(header, account, behind, layouts);
  const layout = layoutOf(layouts, account.codeHash, proxy);
  if (layout === undefined) throw invalid(`nobody has reviewed where code ${toHex(account.codeHash)} keeps balances`);
  const word = verifyStorage(account.storageRoot, balanceSlot(layout, holder), balanceNodes);
  return { question, answer: { type: "balance", amount: balanceIn(layout, word) }, asOf: asOf(question.chain, header) };
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
export function verifyLog(question: Question, value: Json, anchor: Anchor, now: bigint): Verified {
  const names = ["trail", "attestation", "headers", "index", "transaction_nodes", "receipt_nodes"] as const;
  const fields = members(value, ...names);
  const headers = items(fields.headers, MAX_BLOCK_LINKS + 1).map(readHeader);
  const index = integer(fields.index, MAX_TRANSACTION_INDEX);
  const transactionNodes = readNodes(fields.transaction_nodes, MAX_RECEIPT_NODE_BYTES);
  const receiptNodes = readNodes(fields.receipt_nodes, MAX_RECEIPT_NODE_BYTES);
  const [first, ...older] = headers;
  const on = ground(fields.attestation, fields.trail, anchor, now);
  if (question.type !== "log") throw rejected("a receipt proves logs of transactions only");
  if (first === undefined) throw malformed("the proof has no header");
  let header = attestedHeader(question.chain, first, on);
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
  return { question, answer, asOf: asOf(question.chain, header) };
}
