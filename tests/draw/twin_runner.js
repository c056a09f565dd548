// Runs the JavaScript twin on requests from standard input: one JSON list in, one JSON list out.
"use strict";
const twin = require(process.argv[2]);
const bytes = (hex) => twin.fromHex(hex);
const HANDLERS = {
  verify: ({ files, published }) => {
    const map = new Map(Object.entries(files).map(([name, hex]) => [name, bytes(hex)]));
    return twin.verify(map, published).map(({ name, passed, note }) => [name, passed, note]);
  },
  draw: ({ lottery, public_seed, commitment }) => twin.toHex(twin.draw(bytes(lottery), public_seed, commitment)),
  coins: ({ seed, asked }) => {
    const coin = twin.coins(bytes(seed));
    return asked.map(([a, s]) => coin(BigInt(a), BigInt(s)));
  },
  ticket: ({ seed, draw, agent }) => twin.ticket(bytes(seed), draw, agent),
  row: ({ salt, row }) => twin.rowHash(salt, bytes(row)),
  seal: ({ commitment, official, number }) => twin.seal(commitment, official, number),
  ceremony: ({ commitment, dice, opened }) => twin.ceremonySeed(commitment, dice, opened),
  inner: ({ public_seed, commitment }) => twin.toHex(twin.innerSeed(public_seed, commitment)),
  hash: ({ data }) => twin.hash(bytes(data)),
};
const requests = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(requests.map(([what, request]) => HANDLERS[what](request))));
