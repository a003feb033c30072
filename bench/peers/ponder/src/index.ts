import { ponder } from "ponder:registry";
import { fact } from "ponder:schema";

const place = (event: any, kind: string) => ({
  id: event.id,
  height: event.block.number,
  hash: event.transaction.hash,
  kind,
});

ponder.on("Token:Transfer", async ({ event, context }) => {
  await context.db.insert(fact).values({ ...place(event, "transfer"), ...event.args });
});
ponder.on("Htlc:Locked", async ({ event, context }) => {
  const { hashlock, sender, amount } = event.args;
  await context.db.insert(fact).values({ ...place(event, "locked"), hashlock, sender, amount });
});
ponder.on("Htlc:Claimed", async ({ event, context }) => {
  await context.db.insert(fact).values({ ...place(event, "claimed"), hashlock: event.args.hashlock });
});
