/** What a swap asks a relayer: a price and an agreement. Nothing that it says is believed without the checks. */
import { type Fetch, postJson, requestJson } from "../chains/endpoints.js";
import { rejected, unavailable } from "../errors.js";
import type { paths } from "./relayer.types.js";

type Json<Content> = Content extends { readonly content: { readonly "application/json": infer Value } } ? Value : never;
type Call<Path extends keyof paths> = paths[Path]["post"] extends { readonly requestBody: infer Body } ? Json<Body> : never;
type Answer<Path extends keyof paths, Method extends "get" | "post"> = paths[Path][Method] extends {
  readonly responses: { readonly 200: infer Ok };
}
  ? Json<Ok>
  : never;

export class RelayerApi {
  private readonly base: string;

  constructor(
    url: string,
    private readonly fetcher: Fetch = (input, init) => fetch(input, init),
  ) {
    this.base = url.replace(/\/+$/, "");
  }

  async quoteKey(): Promise<string> {
    return (await this.get("/v1/relayer")).quote_key;
  }

  quote(call: Call<"/v1/quotes">): Promise<Answer<"/v1/quotes", "post">> {
    return this.post("/v1/quotes", call);
  }

  openSwap(call: Call<"/v1/swaps">): Promise<Answer<"/v1/swaps", "post">> {
    return this.post("/v1/swaps", call);
  }

  // The types are the document's, of which an answer need not be true.
  private async get<Path extends keyof paths>(path: Path): Promise<Answer<Path, "get">> {
    return answer(await requestJson(this.fetcher, this.base + path, { method: "GET" })) as Answer<Path, "get">;
  }

  private async post<Path extends keyof paths>(path: Path, body: Call<Path>): Promise<Answer<Path, "post">> {
    return answer(await postJson(this.fetcher, this.base + path, body)) as Answer<Path, "post">;
  }
}

/** Codes of a relayer's that say what to do (docs/dapps/api.md, "Problems"). Every other code that it writes could be one of ours. */
const TOLD = ["conflict", "gate-closed", "not-found", "paused", "payout-blocked", "rate-limited", "too-many"];

function answer({ status, json }: { status: number; json: unknown }): unknown {
  if (typeof json !== "object" || json === null) throw unavailable("the relayer's answer is no JSON object");
  if (status < 400) return json;
  const { type, detail, title } = json as { type?: unknown; detail?: unknown; title?: unknown };
  const told = TOLD.find((one) => type === `urn:causeway:problem:${one}`);
  const message = `the relayer refuses: ${String(detail ?? title ?? status).slice(0, 500)}`;
  throw status === 408 || status === 429 || status >= 500 ? unavailable(message, told) : rejected(message, told);
}
