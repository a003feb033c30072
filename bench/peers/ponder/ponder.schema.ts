import { onchainTable } from "ponder";

export const fact = onchainTable("fact", (t) => ({
  id: t.text().primaryKey(),
  height: t.bigint().notNull(),
  hash: t.text().notNull(),
  kind: t.text().notNull(),
  sender: t.text(),
  receiver: t.text(),
  hashlock: t.text(),
  amount: t.bigint(),
}));
