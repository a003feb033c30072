// One row an event, as the indexer under test stores one fact.
const { EntitySchema } = require("typeorm");

class Fact {
  constructor(fields) {
    Object.assign(this, fields);
  }
}

const text = { type: String };
const schema = new EntitySchema({
  name: "Fact",
  target: Fact,
  tableName: "fact",
  columns: {
    id: { type: String, primary: true },
    height: { type: "int" },
    hash: text,
    kind: text,
    sender: { type: String, nullable: true },
    receiver: { type: String, nullable: true },
    hashlock: { type: String, nullable: true },
    amount: { type: "numeric", nullable: true },
  },
});

module.exports = { Fact, schema };
