// A browser wallet for tests: announces itself by EIP-6963, keeps to EIP-1193, and signs with an account of the devnet's node.
(options) => {
  const { rpc, chain, account } = options;
  const LEAVE = "test-wallet-leave";
  const heard = new Map();
  const wallet = { asked: [], sent: [], declines: [], holds: [], release: () => {}, on: "0x1", knows: ["0x1"], tell: (event, value) => (heard.get(event) ?? []).forEach((hear) => hear(value)) };
  window.testWallet = wallet;
  const failed = (code, message) => Object.assign(new Error(message), { code });
  const node = async (method, params = []) => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const answer = await (await fetch(rpc, { method: "POST", body, headers: { "Content-Type": "application/json" } })).json();
    if (answer.error) throw failed(answer.error.code, answer.error.message);
    return answer.result;
  };
  const provider = {
    on: (event, hear) => heard.set(event, [...(heard.get(event) ?? []), hear]),
    request: async ({ method, params = [] }) => {
      wallet.asked.push(method);
      if (wallet.declines.includes(method)) throw failed(4001, "The person said no.");
      // Its owner looks at the question, and answers later.
      if (wallet.holds.includes(method)) await new Promise((answered) => (wallet.release = answered));
      const [first] = params;
      switch (method) {
        case "eth_requestAccounts": localStorage.setItem(LEAVE, "yes"); return [account];
        case "eth_accounts": return localStorage.getItem(LEAVE) === "yes" ? [account] : [];
        case "eth_chainId": return wallet.on;
        case "wallet_addEthereumChain": wallet.knows.push(first.chainId); return null;
        case "wallet_switchEthereumChain":
          if (!wallet.knows.includes(first.chainId)) throw failed(4902, "This chain is not known.");
          wallet.on = first.chainId;
          return null;
        case "eth_signTypedData_v4": return node(method, [first, JSON.parse(params[1])]);
        case "eth_sendTransaction":
          if (wallet.on !== chain) throw failed(-32603, "The wallet is on another chain.");
          wallet.sent.push(first);
          return node(method, params);
        default: return node(method, params);
      }
    },
  };
  const detail = Object.freeze({ info: { uuid: "350670db-19fa-4704-a166-e52e178b59d2", name: "Test wallet", icon: "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Crect width='8' height='8' rx='2' fill='%23356'/%3E%3C/svg%3E", rdns: "example.wallet" }, provider });
  const announce = () => window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail }));
  window.addEventListener("eip6963:requestProvider", announce);
  if (options.lone) window.ethereum = provider;
  else announce();
  if (options.lone) window.removeEventListener("eip6963:requestProvider", announce);
};
