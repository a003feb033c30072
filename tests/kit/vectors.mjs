// Holds the kit against docs/dapps/vectors.json: `node vectors.mjs KIT VECTORS`. Prints what differs, as a JSON list.
import { readFileSync } from "node:fs";
import { createWalletClient, custom } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const kit = await import(`${process.argv[2]}/index.js`);
const { readLane, parseLane } = await import(`${process.argv[2]}/evidence/lanes.js`);
const cases = JSON.parse(readFileSync(process.argv[3], "utf8"));
const bytes = (hex) => Uint8Array.from(Buffer.from(hex.replace(/^0x/, ""), "hex"));
const hex = (raw) => Buffer.from(raw).toString("hex");
const TIMING = { block_time_s: 1, inclusion_s: 1, finality_s: 1, observation_s: 1, lead_s: 1, lag_s: 1 };
const differs = [];
let held = 0;

function same(what, found, expected) {
  held += 1;
  if (found !== expected) differs.push({ what, found, expected });
}

const MESSAGES = {
  "htlc/lock": (one) => kit.lockMessage(one.asset, BigInt(one.amount), bytes(one.receiver), bytes(one.hashlock), one.timelock),
  "htlc/claim": (one) => kit.claimMessage(bytes(one.sender), bytes(one.preimage)),
  "htlc/refund": (one) => kit.refundMessage(bytes(one.sender), bytes(one.hashlock)),
  "bank/transfer": (one) => kit.transferMessage(one.asset, bytes(one.receiver), BigInt(one.amount)),
};

for (const one of cases.ledger_transactions) {
  const key = kit.ledgerKey(bytes(one.seed));
  const body = { reference: one.chain.split(":")[1], sequence: BigInt(one.sequence), expiryHeight: BigInt(one.expiry_height), messages: one.messages.map((message) => MESSAGES[message.type](message)) };
  const signed = await kit.signTransaction(body, key);
  same("account", `${one.chain}:${hex(kit.ledgerAddress(key.publicKey))}`, one.account);
  same("sign bytes", hex(kit.signBytes(body, key.publicKey)), one.sign_bytes);
  same("transaction", hex(signed.raw), one.transaction);
  same("hash", signed.hash, `0x${one.hash}`);
}

for (const one of cases.ledger_consents) {
  const chain = new kit.ConsortiumChain({ id: "causeway:devnet-1", genesis: one.genesis_hash, endpoints: ["http://127.0.0.1:1"], timing: TIMING, key: kit.ledgerKey(bytes(one.seed)) });
  same("consent", await chain.proveFunds(one.quote, bytes(one.hashlock), one.receiver), one.proof);
}

/** A chain whose wallet writes down what it is asked to send. */
function recorded(contract, account) {
  const sent = [];
  const wallet = { account, sendTransaction: async (transaction) => (sent.push(transaction), `0x${"00".repeat(32)}`) };
  return { sent, chain: new kit.EthereumChain({ id: "eip155:31337", contract, endpoints: ["http://127.0.0.1:1"], timing: TIMING, wallet }) };
}

for (const one of cases.ethereum_calls) {
  const { sent, chain } = recorded(one.contract, { address: `0x${"11".repeat(20)}` });
  const terms = kit.termsOf(one.terms);
  await chain[one.act](terms, one.place, bytes(one.preimage));
  same(`${one.act} to`, sent[0].to, one.to);
  same(`${one.act} value`, `0x${sent[0].value.toString(16)}`, one.value);
  same(`${one.act} data`, sent[0].data, one.data);
  const lane = readLane(BigInt(one.locked_word), { ...terms, hashlock: hex(terms.hashlock), timelock: BigInt(terms.timelock) }, parseLane(one.place));
  same("lane", `${lane.status} ${lane.termsMatch}`, "locked true");
}

for (const one of cases.ethereum_openings) {
  const account = privateKeyToAccount(`0x${one.key}`);
  const wallet = createWalletClient({ account, transport: custom({ request: async () => "0x7a69" }) });
  const chain = new kit.EthereumChain({ id: "eip155:31337", contract: one.contract, endpoints: ["http://127.0.0.1:1"], timing: TIMING, wallet });
  same("opening", await chain.proveFunds(one.quote, bytes(one.hashlock), one.receiver), one.proof);
}

const refusal = (work) => {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof kit.CausewayError)) throw error;
    return error.code;
  }
};

for (const { quote, signed_bytes, now_s } of cases.quotes) {
  same("quote bytes", hex(kit.quoteBytes(quote)), signed_bytes);
  same("quote", refusal(() => kit.verifyQuote(quote, quote.key, now_s)), undefined);
  same("late quote", refusal(() => kit.verifyQuote(quote, quote.key, quote.expires_at)), "quote-expired");
  same("another's quote", refusal(() => kit.verifyQuote(quote, `0x${"22".repeat(32)}`, now_s)), "rejected");
  for (const name of Object.keys(quote).filter((name) => name !== "signature" && name !== "key")) {
    const changed = name === "rate" ? { numerator: `${quote.rate.numerator}1`, denominator: quote.rate.denominator } : typeof quote[name] === "number" ? quote[name] + 1 : `${quote[name]}1`;
    same(`quote with another ${name}`, refusal(() => kit.verifyQuote({ ...quote, [name]: changed }, quote.key, now_s)), "rejected");
  }
}

for (const one of cases.swap_ids) same("swap id", kit.swapId(kit.termsOf(one.initiator), kit.termsOf(one.participant)), one.id);

for (const one of cases.gates) {
  const check = {
    lock: () => kit.checkLock(one.now_s, one.t_b, one.a, one.b, one.policy),
    gap: () => kit.checkGap(one.t_a, one.t_b, one.a, one.b, one.policy),
    reveal: () => kit.checkReveal(one.now_s, one.t_b, one.b, one.policy),
  }[one.gate];
  same(`${one.gate} gate`, refusal(check) === "gate-closed", one.closed);
}

process.stdout.write(JSON.stringify({ held, differs }));
