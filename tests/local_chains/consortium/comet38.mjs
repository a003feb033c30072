// Everything that cosmjs' Comet38Client can ask of a node, asked of ours.
//
//     node comet38.mjs '{"url": url, "transactions": [base64 × 4], "present": hex, "absent": hex, "search": query}'
//
// Prints {"answers": {call: what it said}, "failures": {call: error}} as one line of JSON.
import { createHash } from "node:crypto";
import ics23 from "@confio/ics23";
import proofs from "@confio/ics23/build/proofs.js";
import { Comet38Client, connectComet } from "@cosmjs/tendermint-rpc";

const asked = JSON.parse(process.argv[2]);
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (raw) => Buffer.from(raw).toString("hex");
const sha256 = (raw) => Uint8Array.from(createHash("sha256").update(raw).digest());
const transactions = asked.transactions.map((raw) => Uint8Array.from(Buffer.from(raw, "base64")));
const answers = {};
const failures = {};
const client = await Comet38Client.connect(asked.url);
const socket = await Comet38Client.connect(asked.url.replace("http", "ws"));
// The library sends nothing over a WebSocket for which it had nothing to send when it opened.
await socket.health();

async function ask(name, call) {
  try {
    answers[name] = await call();
  } catch (error) {
    failures[name] = String(error.message ?? error);
  }
}

/** The first event of a stream that the predicate takes. */
function first(stream, wanted) {
  return new Promise((resolve, reject) => {
    const subscription = stream.subscribe({
      next: (event) => {
        if (wanted(event)) {
          setImmediate(() => subscription.unsubscribe());
          resolve(event);
        }
      },
      error: reject,
    });
  });
}

// This version of the library has no hashing of keys before they are compared: it is given the hashed ones, as the trees
// it was written for store them.
function hashedKeys(proof) {
  const leaf = (one) => one && { key: sha256(one.key), value: one.value, leaf: proofs.smtSpec.leafSpec, path: one.path };
  const absent = proof.nonexist;
  return absent
    ? { nonexist: { key: sha256(absent.key), left: leaf(absent.left), right: leaf(absent.right) } }
    : { exist: leaf(proof.exist) };
}

/** The value at a key in the state after `height`, checked by the ICS-23 library against the header after it. */
async function proven(key, height) {
  const answer = await client.abciQuery({ path: "/ics23", data: bytes(key), height, prove: true });
  const root = (await client.block(height + 1)).block.header.appHash;
  const [op] = answer.proof.ops;
  const proof = ics23.ics23.CommitmentProof.decode(op.data);
  const place = sha256(bytes(key));
  if (proof.exist) {
    const hashing = { ...proofs.smtSpec, leafSpec: { ...proofs.smtSpec.leafSpec, prehashKey: 1 } };
    if (!ics23.verifyMembership(proof, hashing, root, bytes(key), answer.value)) throw new Error("no proof of presence");
    if (!ics23.verifyMembership(hashedKeys(proof), proofs.smtSpec, root, place, answer.value)) throw new Error("no proof");
    const other = Uint8Array.from([...answer.value, 0]);
    if (ics23.verifyMembership(proof, hashing, root, bytes(key), other)) throw new Error("it proves anything");
    return hex(answer.value);
  }
  if (!ics23.verifyNonMembership(hashedKeys(proof), proofs.smtSpec, root, place)) throw new Error("no proof of absence");
  const wrong = Uint8Array.from(root, (byte) => byte ^ 1);
  if (ics23.verifyNonMembership(hashedKeys(proof), proofs.smtSpec, wrong, place)) throw new Error("it proves anything");
  return null;
}

await ask("connectComet", async () => {
  const found = await connectComet(asked.url);
  const answer = { height: (await found.block(1)).block.header.height, results: (await found.blockResults(1)).height };
  found.disconnect();
  return answer;
});
await ask("health", () => client.health());
await ask("genesis", async () => {
  const genesis = await client.genesis();
  return { chain: genesis.chainId, keys: genesis.validators.map((one) => one.pubkey.algorithm) };
});
await ask("status", async () => {
  const status = await client.status();
  return { chain: status.nodeInfo.network, height: status.syncInfo.latestBlockHeight, key: status.validatorInfo.pubkey.algorithm };
});
await ask("broadcastTxCommit", async () => {
  const sent = await client.broadcastTxCommit({ tx: transactions[0] });
  return { check: sent.checkTx.code, result: sent.txResult.code, height: sent.height, hash: hex(sent.hash), events: sent.txResult.events };
});
const height = answers.broadcastTxCommit.height;

// Subscribed to before what they are to hear of is sent.
const heard = {
  subscribeTx: first(socket.subscribeTx(asked.search), (event) => Buffer.compare(event.tx, transactions[1]) === 0),
  subscribeNewBlock: first(socket.subscribeNewBlock(), (event) => event.txs.some((tx) => Buffer.compare(tx, transactions[1]) === 0)),
  subscribeNewBlockHeader: first(socket.subscribeNewBlockHeader(), (event) => event.height > height),
};
await new Promise((resolve) => setTimeout(resolve, 300));
await ask("broadcastTxSync", async () => {
  const sent = await client.broadcastTxSync({ tx: transactions[1] });
  return { code: sent.code, hash: hex(sent.hash) };
});
for (const [name, event] of Object.entries(heard)) {
  await ask(name, async () => ({ height: (await event).height ?? (await event).header.height }));
}
await ask("broadcastTxAsync", async () => hex((await client.broadcastTxAsync({ tx: transactions[2] })).hash));
await ask("refused", async () => {
  const refused = await client.broadcastTxSync({ tx: transactions[3] });
  return { code: refused.code, log: refused.log, codespace: refused.codespace };
});
await ask("numUnconfirmedTxs", async () => (await client.numUnconfirmedTxs()).total >= 0);
await ask("abciInfo", async () => (await client.abciInfo()).data);
await ask("block", async () => {
  const answer = await client.block(height);
  return { height: answer.block.header.height, hash: hex(answer.blockId.hash), txs: answer.block.txs.length };
});
await ask("blockResults", async () => (await client.blockResults(height)).results.map((one) => one.code));
await ask("blockchain", async () => (await client.blockchain(1, 2)).blockMetas.map((meta) => meta.header.height));
await ask("blockSearch", async () => (await client.blockSearch({ query: `block.height = ${height}` })).totalCount);
await ask("blockSearchAll", async () => (await client.blockSearchAll({ query: "block.height <= 2" })).blocks.map((one) => one.block.header.height));
await ask("commit", async () => {
  const answer = await client.commit(height);
  return { hash: hex(answer.commit.blockId.hash), signatures: answer.commit.signatures.length };
});
await ask("validators", async () => (await client.validators({ height })).validators.map((one) => one.pubkey.algorithm));
await ask("validatorsAll", async () => (await client.validatorsAll(height)).total);
await ask("tx", async () => {
  const found = await client.tx({ hash: bytes(answers.broadcastTxCommit.hash), prove: true });
  return { height: found.height, index: found.index, proof: found.proof.proof.total, code: found.result.code };
});
await ask("txSearch", async () => (await client.txSearch({ query: asked.search, per_page: 1 })).totalCount);
await ask("txSearchAll", async () => (await client.txSearchAll({ query: asked.search })).txs.length);
await ask("abciQuery", async () => {
  const answer = await client.abciQuery({ path: "/store", data: bytes(asked.present), prove: true });
  return { code: answer.code, op: answer.proof.ops[0].type, value: answer.value.length > 0 };
});
await ask("present", () => proven(asked.present, height - 1));
await ask("absent", () => proven(asked.absent, height - 1));
client.disconnect();
socket.disconnect();
console.log(JSON.stringify({ answers, failures }));
process.exit(0);
