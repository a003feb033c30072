// Final blocks that are replaced, and the gates: `node finality.mjs KIT FOLDER`. Prints {name: outcome}.
const [, , kitFolder, folder] = process.argv;
const kit = (globalThis.kit = await import(`${kitFolder}/index.js`));
const { Finality } = await import(`${kitFolder}/swap/finality.js`);
const { FileStore } = await import(`${kitFolder}/node/index.js`);
const { A, B, NOW, SENT, T_A, chainOf, hashOf, record, refusal } = await import("./scene.mjs");
const found = {};

/** A chain whose blocks up to `tall` are of branch 0 below `fork`, and of `branch` from there on; `pruned`: from where on it shows them. */
function branching(id, state, more = {}) {
  const chain = chainOf(id, { ...more });
  chain.head = async () => ({ height: state.tall, timeS: more.timeS ?? NOW });
  chain.blockHash = async (height) => (height > (state.shown ?? state.tall) || height < (state.pruned ?? 0) ? undefined : hashOf(height, height >= (state.fork ?? Infinity) ? state.branch : 0));
  return chain;
}
const clientOf = (chains, store, more = {}) => new kit.SwapClient({ relayer: "http://127.0.0.1:1", relayerKey: "", chains, store, policy: kit.DEVNET_POLICY, nowS: () => NOW, ...more });

/** Carry the swap on until it waits for words that `until` knows, or has ended; returns these words, or the result. */
async function carried(client, until) {
  const stop = new AbortController();
  let said;
  try {
    const ended = await client.run("aa", { signal: stop.signal, onProgress: ({ waitsFor }) => {
      if (waitsFor !== undefined && until.test(waitsFor)) {
        said = waitsFor;
        stop.abort(new Error("seen"));
      }
    } });
    return ended.result;
  } catch (error) {
    if (said === undefined) throw error;
    return said;
  }
}
const REPLACED = /was replaced|shows no block/;

/** A swap in `stage` whose store has seen both chains at height 10; then `change` is done to the state of chain A and of chain B. */
async function scene(stage, change, { a: onA = {}, b: onB = {}, ...more } = {}) {
  const [stateA, stateB, store] = [{ tall: 10 }, { tall: 10 }, new kit.MemoryStore()];
  const [a, b] = [branching(A, stateA, onA), branching(B, stateB, onB)];
  b.claim = async () => ((b.readLock = async () => ({ status: "claimed", termsMatch: true, place: "theirs", height: 2, timeS: NOW })), SENT);
  await new Finality(store, () => NOW).glance([a, b]);
  await store.put({ ...record, stage, lockDeadline: NOW + 1_000, ...more });
  change(stateA, stateB);
  return { a, b, store, stateA, stateB, client: clientOf([a, b], store) };
}
const forked = (state) => Object.assign(state, { tall: 12, fork: 9, branch: 1 });
const words = async (client) => `${await carried(client, REPLACED)}`.replace("another look: ", "");

for (const [name, change] of [["the first chain", forked], ["the second chain", (_, other) => forked(other)]]) {
  const { client, store, b } = await scene("locked", change);
  found[`reveal, after ${name} replaced a final block`] = await words(client);
  found[`the alarm of ${name}`] = JSON.stringify([...(await client.alarms())]);
  const chain = [...(await client.alarms()).keys()][0];
  found[`acknowledged on ${name}`] = `${await client.acknowledge(chain)} ${await client.acknowledge(chain)}, then ${await carried(client, REPLACED)} ${b.acts}`;
  found[`the store after ${name}`] = `${(await store.remember(chain)).final.map(({ height }) => height)} ${(await store.remember(chain)).alarm}`;
}
{
  const { client, a } = await scene("agreed", forked, { a: { final: "absent", matches: false, findLock: async () => undefined } });
  found["lock, after a final block was replaced"] = `${await words(client)}, asked for ${a.acts.length} transactions`;
}
{
  const { client } = await scene("locked", (state) => Object.assign(state, { tall: 12 }));
  found["blocks are added"] = await carried(client, REPLACED);
}
{
  const { client, stateA } = await scene("locked", forked);
  await words(client);
  Object.assign(stateA, { fork: undefined });
  found["the branch comes back"] = await words(client);
}
{
  // Right after the gate has looked, while the locks are read.
  const { client, b, stateB } = await scene("revealing", () => {}, { claimTries: 0 });
  const { checkPurse } = b;
  b.checkPurse = async (...given) => (await new Promise((resolve) => setTimeout(resolve, 50)), forked(stateB), checkPurse(...given));
  found["the chain goes another way while it is read"] = `${await words(client)}${b.acts}`;
}
for (const [stage, more] of [["revealing", { claimTries: 1 }], ["refunding", { a: { timeS: T_A } }]]) {
  const { client, a } = await scene(stage, forked, more);
  a.refund = async () => ((a.readLock = async () => ({ status: "refunded", termsMatch: true, place: "ours", height: 2, timeS: NOW })), SENT);
  found[`${stage} asks nobody`] = await carried(client, REPLACED);
}
{
  const { client } = await scene("revealing", forked, { claimTries: 0 });
  found["a reveal that was asked for and not made"] = await words(client);
}
{
  const { client, stateA } = await scene("locked", (state) => Object.assign(state, { tall: 7 }));
  const before = await words(client);
  stateA.tall = 11;
  found["nodes that fell behind"] = `${before}; ${(await client.alarms()).size} alarms; ${await carried(client, REPLACED)}`;
}
{
  const { client } = await scene("locked", (state) => Object.assign(state, { tall: 7 }));
  await words(client);
  found["nodes that fell behind, accepted"] = `${await client.acknowledge(A)} ${await carried(client, REPLACED)}`;
}
{
  const { client } = await scene("locked", (state) => Object.assign(state, { tall: 500, pruned: 400 }));
  found["blocks that nobody keeps any more"] = await carried(client, REPLACED);
}
{
  // Blocks 10 and 20 were seen; a shorter chain shows another block 10, and no block 20.
  const { client, a, b, store, stateA } = await scene("locked", () => {});
  stateA.tall = 20;
  await new Finality(store, () => NOW).glance([a, b]);
  Object.assign(stateA, { tall: 15, fork: 3, branch: 2 });
  found["a shorter chain of other blocks"] = `${await words(client)}: block ${(await client.alarms()).get(A).height}`;
}
{
  const { client, store } = await scene("locked", forked);
  await words(client);
  await store.put({ ...record, key: "bb", stage: "agreed", lockDeadline: NOW + 1_000 });
  const other = clientOf([chainOf(A, {}), chainOf(B, {})], store);
  found["another client of the store"] = [...(await other.alarms()).keys()].join();
}
{
  const [state, store] = [{ tall: 0 }, new kit.MemoryStore()];
  const chain = branching(A, state);
  for (state.tall = 1; state.tall <= 100; state.tall += 1) await new Finality(store, () => NOW).check([chain]);
  const { final } = await store.remember(A);
  found["a hundred final blocks"] = `${final.length} kept, from ${final[0].height} to ${final.at(-1).height}`;
}
{
  let asked = 0;
  const chain = branching(A, { tall: 5 });
  const { head } = chain;
  chain.head = async (...given) => ((asked += 1), head(...given));
  const finality = new Finality(new kit.MemoryStore(), () => NOW);
  for (let looks = 0; looks < 5; looks += 1) await finality.glance([chain]);
  found["glances in one moment"] = asked;
  chain.head = async () => { throw new kit.CausewayError("unavailable", "down", true); };
  await new Finality(new kit.MemoryStore(), () => NOW).glance([chain]);
  found["a chain that is down"] = await refusal(() => finality.check([chain]));
}
{
  const [seen, gone] = [{ height: 12, hash: "b12" }, [{ height: 10, hash: "a10" }]];
  found["a slow tab, after all was acknowledged"] = JSON.stringify(kit.remembered({ final: [{ height: 11, hash: "b11" }] }, seen, gone, NOW));
  found["another branch at the newest height"] = JSON.stringify(kit.remembered({ final: [{ height: 12, hash: "a12" }] }, seen, [], NOW));
  found["a second one, before the first is acknowledged"] = JSON.stringify(kit.remembered({ final: gone, alarm: { height: 20, noticedS: 1 } }, seen, gone, NOW));
}

// --- a folder ---

const [one, other] = [await FileStore.open(folder, "a passphrase of a test"), await FileStore.open(folder, "a passphrase of a test")];
const grown = (height) => (known) => ({ final: [...(known?.final ?? []), { height, hash: hashOf(height) }] });
await Promise.all(Array.from({ length: 20 }, (_, height) => (height % 2 ? one : other).remember("eip155:1", grown(height))));
found["two stores of a folder remember at once"] = (await one.remember("eip155:1")).final.length;
found["of a chain that was never seen"] = String(await one.remember("eip155:2"));
found["swaps among what is remembered"] = (await one.all()).length;

process.stdout.write(JSON.stringify(found));
process.exit(0);
