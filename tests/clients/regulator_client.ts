// A supervisor's program in TypeScript on types that openapi-typescript made of the supervision API's own document.
import createClient from "openapi-fetch";
import type { paths } from "./regulator.js";

declare const process: { argv: string[] };
const [address, key] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: address, headers: { "X-API-Key": key } });

const path = { id: "swap-1" };
const swap = await client.GET("/v1/swaps/{id}", { params: { path } });
if (swap.data?.swap.id !== "swap-1") throw new Error("the swap is not there");
const whole = await client.GET("/v1/swaps/{id}/evidence", { params: { path } });
if (whole.data === undefined || !("legs" in whole.data)) throw new Error("the evidence of both legs is not there");
const one = await client.GET("/v1/swaps/{id}/evidence", { params: { path, query: { leg: "participant" } } });
if (one.data === undefined || !("digest" in one.data)) throw new Error("one leg's evidence file is not there");
const digest: string = one.data.digest;
const listed = await client.GET("/v1/swaps", { params: { query: { limit: 1 } } });
const next: string | null | undefined = listed.data?.next;
console.log(digest, whole.data.legs.length, next === undefined);
