// Transfers of a token and locks and claims of an HTLC into PostgreSQL, the way Subsquid's documentation does it.
const { EvmBatchProcessor } = require("@subsquid/evm-processor");
const { TypeormDatabase } = require("@subsquid/typeorm-store");
const { event, indexed } = require("@subsquid/evm-abi");
const p = require("@subsquid/evm-codec");
const { Fact } = require("./lib/model");

const { RPC_URL, TOKEN, HTLC, TRANSFER, LOCKED, CLAIMED, LAST } = process.env;
const transfer = event(TRANSFER, "Transfer(address,address,uint256)", {
  sender: indexed(p.address), receiver: indexed(p.address), amount: p.uint256,
});
const locked = event(LOCKED, "Locked(bytes32,uint256,address,uint256)", {
  hashlock: indexed(p.bytes32), terms: p.uint256, sender: p.address, amount: p.uint256,
});
const claimed = event(CLAIMED, "Claimed(bytes32,uint256,bytes32)", {
  hashlock: indexed(p.bytes32), lockId: p.uint256, preimage: p.bytes32,
});

const processor = new EvmBatchProcessor()
  .setRpcEndpoint({ url: RPC_URL, capacity: 10, maxBatchCallSize: 100 })
  .setFinalityConfirmation(2)
  .setBlockRange({ from: 0, to: Number(LAST) })
  .addLog({ address: [TOKEN, HTLC], topic0: [TRANSFER, LOCKED, CLAIMED] })
  .setFields({ log: { transactionHash: true } });

processor.run(new TypeormDatabase({ supportHotBlocks: false }), async (context) => {
  const facts = [];
  for (const block of context.blocks) {
    for (const log of block.logs) {
      const place = { id: log.id, height: block.header.height, hash: log.transactionHash };
      if (log.topics[0] === TRANSFER) facts.push(new Fact({ ...place, kind: "transfer", ...transfer.decode(log) }));
      else if (log.topics[0] === LOCKED) {
        const { hashlock, sender, amount } = locked.decode(log);
        facts.push(new Fact({ ...place, kind: "locked", hashlock, sender, amount }));
      } else facts.push(new Fact({ ...place, kind: "claimed", hashlock: claimed.decode(log).hashlock }));
    }
  }
  await context.store.insert(facts);
});
