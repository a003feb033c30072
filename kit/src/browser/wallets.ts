/** Wallets that a page finds in its browser (EIP-6963, else the one of EIP-1193 at `window.ethereum`), as viem's clients. */
import { type EIP1193Provider, createWalletClient, custom, getAddress } from "viem";
import { CausewayError, rejected, unavailable } from "../errors.js";
import type { EvmWallet } from "../chains/ethereum.js";

const ANSWER_MS = 200;
const MAX_WALLETS = 32;
const MAX_NAME_CHARS = 64;
const MAX_ICON_CHARS = 256 * 1024;
/** EIP-1193: its owner said no. EIP-3085 and wallets' practice: the chain is not known. JSON-RPC of wallets: one waits already. */
const [DECLINED, UNKNOWN_CHAIN, PENDING] = [4001, 4902, -32002] as const;

export interface FoundWallet {
  readonly name: string;
  /** What the wallet calls itself in reverse DNS, such as `io.metamask`: the same at the next visit. */
  readonly rdns: string | undefined;
  /** A data URI, as the wallet announces it: show it as an image, never as markup. */
  readonly icon: string | undefined;
  readonly provider: EIP1193Provider;
}

/** What a wallet is given to show, and to ask, if it does not know the chain (EIP-3085). */
export interface ChainFacts {
  readonly name?: string;
  readonly rpcUrls?: readonly string[];
}

/** All wallets that answer within 200 ms. What a wallet announces is looked at before it is believed. */
export async function browserWallets(): Promise<FoundWallet[]> {
  const found = new Map<string, FoundWallet>();
  const heard = (event: Event): void => {
    const wallet = announced((event as CustomEvent<unknown>).detail);
    if (wallet !== undefined && found.size < MAX_WALLETS) found.set(wallet.id, wallet.found);
  };
  window.addEventListener("eip6963:announceProvider", heard);
  window.dispatchEvent(new Event("eip6963:requestProvider"));
  await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
  window.removeEventListener("eip6963:announceProvider", heard);
  const single = (window as { ethereum?: unknown }).ethereum;
  if (found.size === 0 && isProvider(single)) return [{ name: "Browser wallet", rdns: undefined, icon: undefined, provider: single }];
  return [...found.values()];
}

function announced(detail: unknown): { id: string; found: FoundWallet } | undefined {
  const { info, provider } = (detail ?? {}) as { info?: { uuid?: unknown; name?: unknown; icon?: unknown; rdns?: unknown } | null; provider?: unknown };
  if (typeof info?.uuid !== "string" || typeof info.name !== "string" || !isProvider(provider)) return undefined;
  const icon = typeof info.icon === "string" && info.icon.startsWith("data:image/") && info.icon.length <= MAX_ICON_CHARS ? info.icon : undefined;
  const rdns = typeof info.rdns === "string" ? info.rdns.slice(0, MAX_NAME_CHARS) : undefined;
  return { id: info.uuid, found: { name: info.name.slice(0, MAX_NAME_CHARS), rdns, icon, provider } };
}

const isProvider = (one: unknown): one is EIP1193Provider => typeof (one as { request?: unknown } | null | undefined)?.request === "function";

/**
 * Ask the wallet's owner for an account, and its wallet for the chain (CAIP-2). Before each signature the wallet is asked for that
 * chain again, should its owner have chosen another one meanwhile. Throws `declined` if the owner says no.
 */
export async function connectWallet(wallet: FoundWallet, chain: string, facts: ChainFacts = {}): Promise<EvmWallet> {
  const accounts = await told(wallet.provider, "eth_requestAccounts");
  const made = clientOf(wallet.provider, chain, facts, accounts);
  if (made === undefined) throw rejected("the wallet shows no account: unlock it");
  try {
    await onChain(wallet.provider, chain, facts);
  } catch (error) {
    throw inWords(error);
  }
  return made;
}

/** As `connectWallet`, without asking anybody: undefined unless the wallet shows this page an account already. */
export async function connectedWallet(wallet: FoundWallet, chain: string, facts: ChainFacts = {}): Promise<EvmWallet | undefined> {
  return clientOf(wallet.provider, chain, facts, await told(wallet.provider, "eth_accounts"));
}

function clientOf(provider: EIP1193Provider, chain: string, facts: ChainFacts, accounts: unknown): EvmWallet | undefined {
  const [first] = Array.isArray(accounts) ? (accounts as unknown[]) : [];
  if (first === undefined) return undefined;
  if (typeof first !== "string" || !/^0x[0-9a-f]{40}$/i.test(first)) throw rejected("the wallet shows an account that is no address");
  const account = { address: getAddress(first), type: "json-rpc" } as const;
  const request = async (args: { method: string; params?: unknown }): Promise<unknown> => {
    if (["eth_chainId", "eth_sendTransaction", "eth_signTypedData_v4"].includes(args.method)) await onChain(provider, chain, facts);
    return provider.request(args as never);
  };
  // A wallet asks its owner, who may be away: viem's retries would ask again.
  return createWalletClient({ account, transport: custom({ request }, { retryCount: 0 }) });
}

async function onChain(provider: EIP1193Provider, chain: string, facts: ChainFacts): Promise<void> {
  const wanted = `0x${BigInt(chain.slice("eip155:".length)).toString(16)}` as const;
  if (await isOn(provider, wanted)) return;
  try {
    await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId: wanted }] });
  } catch (error) {
    if (!hasCode(error, UNKNOWN_CHAIN) || facts.rpcUrls === undefined) throw error;
    const nativeCurrency = { name: "Ether", symbol: "ETH", decimals: 18 };
    await provider.request({ method: "wallet_addEthereumChain", params: [{ chainId: wanted, chainName: facts.name ?? chain, nativeCurrency, rpcUrls: [...facts.rpcUrls] }] });
    if (!(await isOn(provider, wanted))) await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId: wanted }] });
  }
  if (!(await isOn(provider, wanted))) throw rejected(`the wallet is on another chain than ${chain}: choose that one in it`, "wrong-chain");
}

const isOn = async (provider: EIP1193Provider, wanted: string): Promise<boolean> => {
  const shown: unknown = await provider.request({ method: "eth_chainId" });
  return typeof shown === "string" && /^0x[0-9a-f]{1,16}$/i.test(shown) && BigInt(shown) === BigInt(wanted);
};

async function told(provider: EIP1193Provider, method: "eth_accounts" | "eth_requestAccounts"): Promise<unknown> {
  try {
    return await provider.request({ method });
  } catch (error) {
    throw inWords(error);
  }
}

function inWords(error: unknown): CausewayError {
  if (error instanceof CausewayError) return error;
  if (hasCode(error, DECLINED)) return new CausewayError("declined", "the wallet's owner declined", true);
  if (hasCode(error, PENDING)) return unavailable("the wallet waits for an answer to an earlier question: open it", "wallet");
  if (hasCode(error, UNKNOWN_CHAIN)) return rejected("the wallet does not know this chain: add it there", "wrong-chain");
  return unavailable(`the wallet did not do it: ${String((error as { message?: unknown } | null)?.message ?? error).slice(0, 300)}`, "wallet");
}

/** Some wallets put the code that counts into another error. */
function hasCode(error: unknown, code: number): boolean {
  const { code: own, data } = (error ?? {}) as { code?: unknown; data?: { originalError?: { code?: unknown } } };
  return own === code || data?.originalError?.code === code;
}
