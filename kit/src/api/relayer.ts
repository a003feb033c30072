/** What a swap asks a relayer: a price and an agreement. Nothing that it says is believed without the checks. */
import { type Fetch, postJson, requestJson } from "../chains/endpoints.js";
import { CausewayError, rejected, unavailable } from "../errors.js";
import type { SwapAnswer } from "../swap/agreement.js";
import type { QuoteBody } from "../swap/quote.js";

export interface QuoteCall {
  readonly initiator_asset: string;
  readonly participant_asset: string;
  readonly initiator_amount?: string;
  readonly participant_amount?: string;
}

export interface SwapCall {
  readonly quote: QuoteBody;
  readonly hashlock: string;
  readonly initiator_sender: string;
  readonly initiator_receiver: string;
  readonly proof?: string;
}

export class RelayerApi {
  private readonly base: string;

  constructor(
    url: string,
    private readonly fetcher: Fetch = (input, init) => fetch(input, init),
  ) {
    this.base = url.replace(/\/+$/, "");
  }

  async quoteKey(): Promise<string> {
    return ((await this.get("/v1/relayer")) as { quote_key: string }).quote_key;
  }

  quote(call: QuoteCall): Promise<QuoteBody> {
    return this.post("/v1/quotes", call) as Promise<QuoteBody>;
  }

  openSwap(call: SwapCall): Promise<SwapAnswer> {
    return this.post("/v1/swaps", call) as Promise<SwapAnswer>;
  }

  private async get(path: string): Promise<unknown> {
    return answer(await requestJson(this.fetcher, this.base + path, { method: "GET" }));
  }

  private async post(path: string, body: unknown): Promise<unknown> {
    return answer(await postJson(this.fetcher, this.base + path, body));
  }
}

function answer({ status, json }: { status: number; json: unknown }): unknown {
  if (typeof json !== "object" || json === null) throw unavailable("the relayer's answer is no JSON object");
  if (status < 400) return json;
  const { type, detail, title } = json as { type?: unknown; detail?: unknown; title?: unknown };
  const code = String(type ?? "problem").split(/[:/]/).at(-1) as string;
  const message = `the relayer refuses: ${String(detail ?? title ?? status).slice(0, 500)}`;
  throw status === 429 || status >= 500 ? new CausewayError(code, message, true) : rejected(message, code);
}
