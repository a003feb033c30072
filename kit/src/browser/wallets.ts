/** Wallets that a page finds in its browser (EIP-6963, else the one of EIP-1193 at `window.ethereum`), as viem's clients. */
import { type EIP1193Provider, createWalletClient, custom, getAddress } from "viem";
import { rejected } from "../errors.js";
import type { EvmWallet } from "../chains/ethereum.js";

const ANSWER_MS = 200;
const MAX_WALLETS = 32;

export interface FoundWallet {
  readonly name: string;
  /** A data URI, as the wallet announces it: show it as an image, never as markup. */
  readonly icon: string | undefined;
  readonly provider: EIP1193Provider;
}

interface Announcement {
  readonly info: { readonly uuid: string; readonly name: string; readonly icon: string };
  readonly provider: EIP1193Provider;
}

/** All wallets that answer within 200 ms. */
export async function browserWallets(): Promise<FoundWallet[]> {
  const found = new Map<string, FoundWallet>();
  const heard = (event: Event): void => {
    const { info, provider } = (event as CustomEvent<Announcement>).detail;
    if (found.size < MAX_WALLETS) found.set(info.uuid, { name: info.name, icon: info.icon.startsWith("data:image/") ? info.icon : undefined, provider });
  };
  window.addEventListener("eip6963:announceProvider", heard);
  window.dispatchEvent(new Event("eip6963:requestProvider"));
  await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
  window.removeEventListener("eip6963:announceProvider", heard);
  const single = (window as { ethereum?: EIP1193Provider }).ethereum;
  if (found.size === 0 && single !== undefined) return [{ name: "Browser wallet", icon: undefined, provider: single }];
  return [...found.values()];
}

/** Ask the wallet's owner for an account, and its wallet for the chain (CAIP-2). */
export async function connectWallet(wallet: FoundWallet, chain: string): Promise<EvmWallet> {
  const accounts = await wallet.provider.request({ method: "eth_requestAccounts" });
  const [first] = accounts;
  if (first === undefined) throw rejected("the wallet shows no account: unlock it");
  const wanted = `0x${BigInt(chain.slice("eip155:".length)).toString(16)}` as const;
  if ((await wallet.provider.request({ method: "eth_chainId" })) !== wanted) {
    await wallet.provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId: wanted }] });
  }
  const account = { address: getAddress(first), type: "json-rpc" } as const;
  return createWalletClient({ account, transport: custom(wallet.provider) });
}
