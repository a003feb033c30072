// A dApp in TypeScript on types that openapi-typescript made of the relayer's own document: compiled strictly, then run.
import createClient from "openapi-fetch";
import type { components, paths } from "./relayer.js";

type Swap = components["schemas"]["SwapBody"];

declare const process: { argv: string[] };
const [address, hashlock, sender, receiver] = process.argv.slice(2) as [string, string, string, string];
const client = createClient<paths>({ baseUrl: address });

function answered<T>(found: { data?: T; error?: { detail: string }; response: Response }): T {
  if (found.data === undefined) throw new Error(`${found.response.status}: ${found.error?.detail}`);
  return found.data;
}

function expect(held: boolean, what: string): void {
  if (!held) throw new Error(`not so: ${what}`);
}

const [pair] = answered(await client.GET("/v1/pairs"));
if (pair === undefined) throw new Error("no pair");
const quote = answered(
  await client.POST("/v1/quotes", {
    body: { initiator_asset: pair.initiator.id, participant_asset: pair.participant.id, initiator_amount: "1000" },
    params: { header: { "Idempotency-Key": "generated-1" } },
  }),
);
const lasts: number = quote.initiator_lock_s;
expect(lasts > 0 && lasts < quote.expires_at, "a lock's duration is shorter than a time");
const opened: Swap = answered(
  await client.POST("/v1/swaps", { body: { quote, hashlock, initiator_sender: sender, initiator_receiver: receiver } }),
);
const again = answered(await client.GET("/v1/swaps/{id}", { params: { path: { id: opened.id } } }));
const expected: number | null = again.expected_at;
expect(expected !== null && !again.done && again.phase === "agreed", "an agreed swap is expected to end");
const page = answered(await client.GET("/v1/swaps", { params: { query: { id: [opened.id], done: false } } }));
expect(page.length === 1 && page[0]?.id === opened.id, "the swap is in the list");
const lock = answered(
  await client.POST("/v1/swaps/{id}/transactions", { params: { path: { id: opened.id } }, body: { act: "lock" } }),
);
expect(lock.act === "lock" && lock.chain === opened.initiator.terms.chain, "a lock on the initiator's chain");
for (const chain of answered(await client.GET("/v1/chains"))) expect(chain.timing.inclusion_s > 0, chain.id);
answered(await client.GET("/v1/relayer"));
const missing = await client.GET("/v1/swaps/{id}", { params: { path: { id: "0".repeat(32) } } });
expect(missing.response.status === 404 && missing.error?.type === "urn:causeway:problem:not-found", "a problem document");
console.log(opened.id);
