/** Several nodes of one chain: what counts is what more than half of them say. */
import { CausewayError, rejected, unavailable } from "../errors.js";

export type Fetch = (input: string, init: RequestInit) => Promise<Response>;

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const MAX_ENDPOINTS = 32;
/** How long those that have not answered are waited for once a quorum has: one that hangs may not hold up a claim. */
const PATIENCE_MS = 1_500;

/** A node answers, and refuses this question; or its answer is larger than is read. */
export class RefusedCall extends CausewayError {
  override readonly name = "RefusedCall";

  constructor(message: string) {
    super("unavailable", message, true);
  }
}

/** JSON by POST, in bounded time and at most 4 MiB. Throws a retryable error if there is none. */
export async function postJson(fetcher: Fetch, url: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<{ status: number; json: unknown }> {
  return requestJson(fetcher, url, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } });
}

export async function requestJson(fetcher: Fetch, url: string, init: RequestInit): Promise<{ status: number; json: unknown }> {
  try {
    const response = await fetcher(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS), redirect: "error", credentials: "omit" });
    return { status: response.status, json: JSON.parse(await boundedText(response)) as unknown };
  } catch (error) {
    if (error instanceof CausewayError) throw error;
    throw unavailable(`${shown(url)} does not answer (${(error as Error).message})`);
  }
}

async function boundedText(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder();
  let [text, size] = ["", 0];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.length;
    if (size > MAX_ANSWER_BYTES) {
      await reader.cancel();
      throw new RefusedCall(`an answer has more than ${MAX_ANSWER_BYTES} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}

/** A URL without name, password and query. */
export const shown = (url: string): string => url.replace(/^([a-z]+:\/\/)[^/@]*@/, "$1").split("?")[0] as string;

/** One question to a node, by JSON-RPC 2.0. */
export async function rpc(fetcher: Fetch, url: string, method: string, params: unknown): Promise<unknown> {
  const { json } = await postJson(fetcher, url, { jsonrpc: "2.0", id: 1, method, params });
  if (typeof json !== "object" || json === null) throw unavailable(`${shown(url)} answers ${method} with something that is no JSON-RPC`);
  const { result, error } = json as { result?: unknown; error?: { message?: unknown; data?: unknown } | null };
  if (error !== undefined && error !== null) throw new RefusedCall(`${method} was refused: ${[error.message, error.data].filter((part) => typeof part === "string").join(": ").slice(0, 500)}`);
  return result;
}

/** A node's URL; with the name of whoever runs it, if they run several of these: an operator has one vote. */
export type Endpoint = string | { readonly url: string; readonly operator?: string | undefined };

/** What one node says, or why it says nothing. */
interface Heard<T> {
  readonly operator: string;
  readonly said?: { readonly value: T };
  readonly failure?: unknown;
}

export class Endpoints {
  readonly urls: readonly string[];
  private readonly operators: ReadonlyMap<string, string>;
  private readonly known = new Map<string, Promise<void>>();

  /** `identify` throws unless a node is of the chain: a `rejected` error if it is of another one. Nothing that the node says counts before. */
  constructor(
    endpoints: readonly Endpoint[],
    private readonly fetcher: Fetch = (input, init) => fetch(input, init),
    private readonly identify: (url: string) => Promise<void> = async () => {},
  ) {
    if (endpoints.length === 0 || endpoints.length > MAX_ENDPOINTS) throw rejected(`a chain has 1 to ${MAX_ENDPOINTS} endpoints, not ${endpoints.length}`);
    const named = endpoints.map((one) => (typeof one === "string" ? { url: one } : one) as { readonly url: string; readonly operator?: string });
    this.urls = named.map(({ url }) => url);
    // A node that is named twice would have two votes.
    if (new Set(this.urls.map((url) => url.replace(/\/+$/, ""))).size < this.urls.length) throw rejected("an endpoint is named twice: name each once");
    this.operators = new Map(named.map(({ url, operator }) => [url, operator || url]));
  }

  /** How many operators have to agree. */
  get quorum(): number {
    return Math.floor(new Set(this.operators.values()).size / 2) + 1;
  }

  call(url: string, method: string, params: unknown): Promise<unknown> {
    return rpc(this.fetcher, url, method, params);
  }

  /** Throws a `rejected` error that names a node of another chain, if one answers as such. Nodes that do not answer may come later. */
  async checkIdentity(): Promise<void> {
    const wrong = (await this.heardBy(async () => true, (heard) => voices(heard).size >= this.quorum, PATIENCE_MS)).find(({ failure }) => isFinal(failure));
    if (wrong !== undefined) throw wrong.failure;
  }

  /** Asked once of each node, and again of one that was not of the chain, or did not say. */
  private identified(url: string): Promise<void> {
    const before = this.known.get(url);
    if (before !== undefined) return before;
    const asked = this.identify(url);
    this.known.set(url, asked);
    asked.catch(() => this.known.delete(url));
    return asked;
  }

  /** What `ask` makes of one node's answer; one that it cannot read is none. */
  private async heard<T>(ask: (url: string) => Promise<T>, url: string): Promise<T> {
    try {
      await this.identified(url);
      return await ask(url);
    } catch (error) {
      if (error instanceof CausewayError) throw error;
      throw unavailable(`${shown(url)} answers with something that cannot be read`);
    }
  }

  /**
   * Ask everybody, and hear the answers as they come. Ends when all have answered, `enough` says so, or those that are late were
   * waited for since then; throws with a reason if fewer than a quorum answer.
   */
  private async heardBy<T>(ask: (url: string) => Promise<T>, enough: (heard: readonly Heard<T>[]) => boolean, patienceMs: number): Promise<Heard<T>[]> {
    const heard: Heard<T>[] = [];
    await new Promise<void>((done) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const counted = (one: Heard<T>): void => {
        heard.push(one);
        if (heard.length === this.urls.length) {
          clearTimeout(timer);
          done();
        } else if (timer === undefined && enough(heard)) timer = setTimeout(done, patienceMs);
      };
      for (const url of this.urls) {
        const operator = this.operators.get(url) as string;
        this.heard(ask, url).then((value) => counted({ operator, said: { value } }), (failure: unknown) => counted({ operator, failure }));
      }
    });
    if (voices(heard).size < this.quorum) throw this.reason(heard);
    return [...heard];
  }

  /** Why there is no quorum: for good only if so many nodes are of another chain that the others alone could never be one. */
  private reason(heard: readonly Heard<unknown>[]): unknown {
    const failures = heard.flatMap(({ failure }) => (failure === undefined ? [] : [failure]));
    const lost = new Set(heard.filter(({ failure }) => isFinal(failure)).map(({ operator }) => operator));
    const isHopeless = new Set(this.operators.values()).size - lost.size < this.quorum;
    return failures.find((one) => isFinal(one) === isHopeless) ?? failures[0];
  }

  /** The answers of all that answer, or of those that do soon after a quorum, each with its operator. */
  async all<T>(ask: (url: string) => Promise<T>): Promise<{ readonly operator: string; readonly value: T }[]> {
    const heard = await this.heardBy(ask, (one) => voices(one).size >= this.quorum, PATIENCE_MS);
    return heard.flatMap(({ operator, said }) => (said === undefined ? [] : [{ operator, value: said.value }]));
  }

  /** True if the operators of these answers are a quorum. */
  areQuorum(answers: readonly { readonly operator: string }[]): boolean {
    return new Set(answers.map(({ operator }) => operator)).size >= this.quorum;
  }

  /**
   * What a quorum answers alike, as soon as it does. An operator whose nodes contradict each other, or were not all heard yet, has no
   * voice. Throws a retryable error if they do not agree.
   */
  async agreed<T>(ask: (url: string) => Promise<T>): Promise<T> {
    // Written down where it is heard: what cannot be written, such as lists in lists without end, is that node's fault alone.
    const spoken = async (url: string): Promise<{ key: string; value: T }> => {
      const value = await ask(url);
      return { key: JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? `${one}n` : one)), value };
    };
    type Spoken = { key: string; value: T };
    const said = (heard: readonly Heard<Spoken>[]): Spoken | undefined => {
      const votes = this.votes(heard, ({ key }) => key);
      return heard.map((one) => one.said?.value).find((one) => one !== undefined && votes.filter((key) => key === one.key).length >= this.quorum);
    };
    const found = said(await this.heardBy(spoken, (heard) => said(heard) !== undefined, 0));
    if (found === undefined) throw unavailable(`the endpoints do not agree: at least ${this.quorum} of ${new Set(this.operators.values()).size} operators would have to`, "no-quorum");
    return found.value;
  }

  /** One key for each operator whose nodes were all heard, and whose answers have the same one. */
  private votes<T>(heard: readonly Heard<T>[], keyOf: (value: T) => string): string[] {
    const nodes = [...this.operators.values()];
    return [...voices(heard)].flatMap((operator) => {
      const theirs = heard.filter((one) => one.operator === operator);
      const keys = new Set(theirs.flatMap(({ said }) => (said === undefined ? [] : [keyOf(said.value)])));
      return theirs.length === nodes.filter((one) => one === operator).length && keys.size === 1 ? [...keys] : [];
    });
  }

  /** The highest number that a quorum has reached. Of one operator's numbers the smallest is what all its nodes vouch for. */
  async reached(ask: (url: string) => Promise<number>): Promise<number> {
    const least = new Map<string, number>();
    for (const { operator, value } of await this.all(ask)) least.set(operator, Math.min(value, least.get(operator) ?? value));
    return [...least.values()].sort((one, other) => other - one)[this.quorum - 1] as number;
  }

  /** The first answer of whoever gives one. */
  async any<T>(ask: (url: string) => Promise<T>): Promise<T> {
    try {
      return await Promise.any(this.urls.map((url) => this.heard(ask, url)));
    } catch (error) {
      throw (error as AggregateError).errors[0];
    }
  }
}

const voices = (heard: readonly Heard<unknown>[]): Set<string> => new Set(heard.flatMap(({ operator, said }) => (said === undefined ? [] : [operator])));
const isFinal = (failure: unknown): boolean => failure instanceof CausewayError && !failure.retryable;
