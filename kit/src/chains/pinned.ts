/** Made by `python -m kit.generate` from the compiled contracts. Do not edit. */

/** Keccak-256 of the code of an honest HashedTimelock: it has no immutables, so all have this one. */
export const HASHED_TIMELOCK_CODE_HASH = "55d6b4854e694763f16943232c5b8f3a1f9926ea72c2e150f515176d3ffaa4c3";

export const HASHED_TIMELOCK_ABI = [
  {"type": "function", "name": "claim", "stateMutability": "nonpayable", "inputs": [{"name": "preimage", "type": "bytes32"}, {"name": "terms", "type": "uint256"}, {"name": "sender", "type": "address"}, {"name": "amount", "type": "uint256"}], "outputs": []},
  {"type": "function", "name": "claimToken", "stateMutability": "nonpayable", "inputs": [{"name": "preimage", "type": "bytes32"}, {"name": "terms", "type": "uint256"}, {"name": "sender", "type": "address"}, {"name": "amount", "type": "uint256"}, {"name": "token", "type": "address"}], "outputs": []},
  {"type": "function", "name": "lock", "stateMutability": "payable", "inputs": [{"name": "hashlock", "type": "bytes32"}, {"name": "terms", "type": "uint256"}], "outputs": []},
  {"type": "function", "name": "lockToken", "stateMutability": "nonpayable", "inputs": [{"name": "hashlock", "type": "bytes32"}, {"name": "terms", "type": "uint256"}, {"name": "amount", "type": "uint256"}, {"name": "token", "type": "address"}], "outputs": []},
  {"type": "function", "name": "refund", "stateMutability": "nonpayable", "inputs": [{"name": "hashlock", "type": "bytes32"}, {"name": "terms", "type": "uint256"}, {"name": "sender", "type": "address"}, {"name": "amount", "type": "uint256"}], "outputs": []},
  {"type": "function", "name": "refundToken", "stateMutability": "nonpayable", "inputs": [{"name": "hashlock", "type": "bytes32"}, {"name": "terms", "type": "uint256"}, {"name": "sender", "type": "address"}, {"name": "amount", "type": "uint256"}, {"name": "token", "type": "address"}], "outputs": []},
] as const;

/** As much of ERC-20 as a lock needs. Some tokens answer `approve` with nothing, so no answer is read. */
export const TOKEN_ABI = [
  {"type": "function", "name": "approve", "stateMutability": "nonpayable", "inputs": [{"name": "spender", "type": "address"}, {"name": "amount", "type": "uint256"}], "outputs": []},
  {"type": "function", "name": "balanceOf", "stateMutability": "view", "inputs": [{"name": "owner", "type": "address"}], "outputs": [{"name": "", "type": "uint256"}]},
  {"type": "function", "name": "allowance", "stateMutability": "view", "inputs": [{"name": "owner", "type": "address"}, {"name": "spender", "type": "address"}], "outputs": [{"name": "", "type": "uint256"}]},
] as const;
