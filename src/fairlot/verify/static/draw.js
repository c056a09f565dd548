/* Check a fairlot draw in a browser or under node: no dependencies, no network, nothing of fairlot.
 *
 *     node draw.js RESULT [COMMITMENT]
 *
 * In a page, <script src="draw.js"> defines `fairlotDraw`. What it implements is docs/draw-specification.md;
 * its sections are those of draw.py beside it, and both must find the same on every input. Integers of
 * documents are BigInt, since numerators exceed 2^53; documents are Map.
 */
"use strict";

const fairlotDraw = (() => {
  const PROTOCOL = "fairlot-draw-v1";
  const CEREMONY = "fairlot-ceremony-v1";
  const QUICKNET = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971";

  class Fault extends Error {}

  const need = (condition, fault) => {
    if (!condition) throw new Fault(fault);
  };

  // 1. Bytes

  const encode = (text) => new TextEncoder().encode(text);
  const toHex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const fromHex = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const join = (...parts) => {
    const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  };

  const eightBytes = (number) => {
    const data = new Uint8Array(8);
    new DataView(data.buffer).setBigUint64(0, BigInt(number));
    return data;
  };

  // SHA-256, FIPS 180-4. The constants are the first 32 bits of the fractional parts of square and cube
  // roots of the first primes, taken here from integer roots.
  const PRIMES = [];
  for (let n = 2; PRIMES.length < 64; n++) if (PRIMES.every((p) => n % p)) PRIMES.push(n);
  const rootFraction = (prime, power) => {
    // floor(prime^(1/power) * 2^32), by bisection
    let [low, high] = [0n, 1n << 40n];
    const target = BigInt(prime) << BigInt(32 * power);
    while (high - low > 1n) {
      const middle = (low + high) >> 1n;
      if (middle ** BigInt(power) <= target) low = middle;
      else high = middle;
    }
    return Number(low & 0xffffffffn);
  };
  const START = Uint32Array.from(PRIMES.slice(0, 8), (p) => rootFraction(p, 2));
  const ROUND_CONSTANTS = Uint32Array.from(PRIMES, (p) => rootFraction(p, 3));

  const sha256 = (data) => {
    const length = data.length;
    const padded = new Uint8Array((((length + 8) >> 6) + 1) << 6);
    padded.set(data);
    padded[length] = 0x80;
    padded.set(eightBytes(8 * length), padded.length - 8);
    const view = new DataView(padded.buffer);
    const state = START.slice();
    const w = new Uint32Array(64);
    const turn = (x, n) => (x >>> n) | (x << (32 - n));
    for (let block = 0; block < padded.length; block += 64) {
      for (let t = 0; t < 16; t++) w[t] = view.getUint32(block + 4 * t);
      for (let t = 16; t < 64; t++) {
        const s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ (w[t - 15] >>> 3);
        const s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ (w[t - 2] >>> 10);
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
      }
      let [a, b, c, d, e, f, g, h] = state;
      for (let t = 0; t < 64; t++) {
        const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
        const first = (h + s1 + ((e & f) ^ (~e & g)) + ROUND_CONSTANTS[t] + w[t]) | 0;
        const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
        const second = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
      }
      [a, b, c, d, e, f, g, h].forEach((word, k) => (state[k] += word));
    }
    const digest = new DataView(new ArrayBuffer(32));
    state.forEach((word, k) => digest.setUint32(4 * k, word));
    return new Uint8Array(digest.buffer);
  };
  const hash = (data) => toHex(sha256(data));

  const hmac = (key, data) => {
    const block = join(key.length > 64 ? sha256(key) : key, new Uint8Array(64)).slice(0, 64);
    const inner = sha256(join(block.map((byte) => byte ^ 0x36), data));
    return sha256(join(block.map((byte) => byte ^ 0x5c), inner));
  };

  const ascending = (a, b) => {
    // By code point, as UTF-8 sorts; JavaScript's own order is that of UTF-16.
    const [left, right] = [Array.from(a), Array.from(b)];
    const k = left.findIndex((letter, at) => letter !== right[at]);
    if (k < 0) return left.length - right.length;
    return k < right.length ? left[k].codePointAt(0) - right[k].codePointAt(0) : 1;
  };

  const canonical = (value) => {
    if (value instanceof Map) {
      const keys = [...value.keys()].sort(ascending);
      return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value.get(key))}`).join(",")}}`;
    }
    if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
    return typeof value === "bigint" ? value.toString() : JSON.stringify(value);
  };
  const canonicalBytes = (value) => encode(canonical(value) + "\n");

  const parse = (text) => {
    // JSON without spaces, fractions, exponents and lone surrogates.
    let at = 0;
    const take = (pattern) => {
      pattern.lastIndex = at;
      const found = pattern.exec(text);
      need(found, "not canonical JSON");
      at = pattern.lastIndex;
      return found[0];
    };
    const list = (close, item) => {
      at++;
      if (text[at] === close) return void at++;
      do item();
      while (take(close === "]" ? /[,\]]/y : /[,}]/y) === ",");
    };
    const string = () => {
      const value = JSON.parse(take(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y));
      need(!/[\ud800-\udfff]/u.test(value), "not Unicode");
      return value;
    };
    const item = (depth) => {
      need(depth < 100, "nested too deeply");
      if (text[at] === '"') return string();
      if (text[at] === "[") {
        const items = [];
        list("]", () => items.push(item(depth + 1)));
        return items;
      }
      if (text[at] === "{") {
        const map = new Map();
        list("}", () => {
          const key = string();
          take(/:/y);
          map.set(key, item(depth + 1));
        });
        return map;
      }
      const token = take(/null|true|false|-?[0-9]{1,4300}(?![0-9.eE])/y);
      return /[a-z]/.test(token) ? JSON.parse(token) : BigInt(token);
    };
    const value = item(0);
    need(at === text.length - 1 && text[at] === "\n", "not one document and a line feed");
    return value;
  };

  // Shapes are tests.
  const is = (literal) => (value) => value === literal;
  const isText = (value) => typeof value === "string";
  const isInteger = (value) => typeof value === "bigint";
  const within = (low, high) => (value) => isInteger(value) && low <= value && value <= high;
  const matching = (pattern) => (value) => isText(value) && pattern.test(value);
  const either = (...shapes) => (value) => shapes.some((shape) => shape(value));
  const listOf = (shape) => (value) => Array.isArray(value) && value.every(shape);
  const tuple = (...shapes) => (value) =>
    Array.isArray(value) && value.length === shapes.length && shapes.every((shape, k) => shape(value[k]));
  const keyed = (shapes) => (value) =>
    value instanceof Map &&
    value.size === Object.keys(shapes).length &&
    Object.entries(shapes).every(([key, shape]) => value.has(key) && shape(value.get(key)));

  const HASH = matching(/^[0-9a-f]{64}$/);
  const HASHES = listOf(tuple(isText, HASH));
  const COUNT = either(is(null), within(0n, 2n ** 31n - 1n));
  const SETS = listOf(tuple(isInteger, COUNT, COUNT, isText));
  const LOTTERY = {
    format: is(1n),
    kind: either(is("pseudomarket"), is("reallocation")),
    denominator: within(1n, 2n ** 62n),
    agents: listOf(isText),
    goods: listOf(isText),
    cells: listOf(tuple(isInteger, isInteger, isInteger, isInteger, isInteger)),
    agent_sets: SETS,
    good_sets: SETS,
  };
  const TERMS = { ...LOTTERY, draw: is("terms"), terms: listOf(tuple(isInteger, listOf(isInteger))) };
  const ROUND = { kind: is("drand"), chain: is(QUICKNET), round: within(1n, 2n ** 53n - 1n) };
  const COMMITMENT = keyed({
    format: is(1n),
    commitment: HASH,
    frozen: keyed({
      protocol: is(PROTOCOL),
      draw: isText,
      source: either(
        keyed({ kind: is("open") }),
        keyed(ROUND),
        keyed({ kind: is("ceremony"), officials: listOf(isText) }),
      ),
      lottery: HASH,
      files: HASHES,
      personal: HASHES,
      agents: HASHES,
    }),
  });
  const TRANSCRIPT = keyed({
    format: is(1n),
    protocol: is(PROTOCOL),
    draw: isText,
    number: isInteger,
    previous: either(is(null), HASH),
    reason: either(is(null), matching(/./s)),
    commitment: HASH,
    status: either(is("drawn"), is("aborted")),
    origin: either(
      keyed({ kind: either(is("none"), is("given")) }),
      keyed({ ...ROUND, signature: matching(/^[0-9a-f]{96}$/) }),
      keyed({
        kind: is("ceremony"),
        dice: either(is(null), matching(/^[1-6]{20,}$/)),
        officials: listOf(tuple(isText, HASH, either(is(null), HASH))),
      }),
    ),
    public_seed: either(is(null), HASH),
    seed: either(is(null), HASH),
    assignment: either(is(null), HASH),
  });

  const sameBytes = (a, b) => a.length === b.length && a.every((byte, k) => byte === b[k]);

  const read = (files, name, shape) => {
    need(files.has(name), `${name} is missing`);
    let value;
    try {
      value = parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(files.get(name)));
    } catch (error) {
      throw new Fault(`${name} is not canonical JSON in UTF-8`);
    }
    need(sameBytes(canonicalBytes(value), files.get(name)), `${name} is not in canonical form`);
    // A list of terms for reading is never drawn from, never frozen.
    if (name === "lottery.json" && value instanceof Map && !value.has("draw")) value.delete("terms");
    need(shape(value), `${name} has a key or value of the wrong kind`);
    return value;
  };

  const fields = (...texts) => join(...texts.map(encode).flatMap((data) => [eightBytes(data.length), data]));

  const csvCell = (cell) => {
    const safe = /^'*[=+\-@]/.test(cell) ? `'${cell}` : cell;
    return /[,"\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };

  // 2. Bits

  const innerSeed = (publicSeed, commitment) =>
    sha256(join(encode(PROTOCOL), sha256(fromHex(publicSeed)), fromHex(commitment)));

  const bits = (seed) => {
    let block = new Uint8Array(0);
    let [counter, used] = [0, 0];
    return () => {
      if (used === 8 * block.length) {
        block = sha256(join(seed, eightBytes(counter++)));
        used = 0;
      }
      const found = (block[used >> 3] >> (7 - (used & 7))) & 1;
      used++;
      return found === 1;
    };
  };

  const coins = (seed) => {
    const bit = bits(seed);
    return (a, s) => {
      while (a) {
        a *= 2n;
        const digit = a >= s;
        if (digit) a -= s;
        if (bit() !== digit) return digit;
      }
      return false;
    };
  };

  const ticket = (seed, draw, agent) => toHex(hmac(seed, fields("ticket", draw, agent)));
  const seal = (commitment, official, number) =>
    hash(fields(CEREMONY, "seal", commitment, official, number));
  const ceremonySeed = (commitment, dice, opened) =>
    hash(fields(CEREMONY, "seed", commitment, dice, ...opened.flat()));

  // 3. Lottery

  class Lottery {
    constructor(files) {
      const raw = read(files, "lottery.json", either(keyed(LOTTERY), keyed(TERMS)));
      this.hash = hash(canonicalBytes(raw));
      this.denominator = raw.get("denominator");
      this.agents = raw.get("agents");
      this.goods = raw.get("goods");
      this.cells = raw.get("cells");
      this.sides = [raw.get("agent_sets"), raw.get("good_sets")];
      this.header = raw.get("kind") === "pseudomarket" ? "agent,good,copies\n" : "agent,task,amount\n";
      for (const ids of [this.agents, this.goods]) {
        need(ids.every((id, k) => !k || ascending(ids[k - 1], id) < 0), "lottery.json: ids do not ascend");
      }
      const after = ([a, b], [c, d]) => a < c || (a === c && b < d);
      const ordered = this.cells.every((cell, k) => !k || after(this.cells[k - 1], cell));
      need(ordered, "lottery.json: cells do not ascend");
      for (const sets of this.sides) {
        const rooted = sets.every(([parent], own) => -1n <= parent && parent < own);
        need(rooted, "lottery.json: a set's parent");
      }
      const [agentSets, goodSets] = this.sides;
      for (const [i, j, n, a, b] of this.cells) {
        const placed = 0n <= i && i < this.agents.length && 0n <= j && j < this.goods.length;
        need(placed, "lottery.json: a cell of nobody or nothing");
        const held = -1n <= a && a < agentSets.length && -1n <= b && b < goodSets.length;
        need(held, "lottery.json: a cell in an unknown set");
        const bounded = 1n <= n && n <= (2n ** 31n - 1n) * this.denominator;
        need(bounded, "lottery.json: a numerator out of range");
      }
      this.terms = raw.get("terms") ?? null; // where the lottery is its terms
      if (this.terms) this.checkTerms();
    }

    checkTerms() {
      const expected = this.cells.map(() => 0n);
      let total = 0n;
      for (const [weight, copies] of this.terms) {
        const fitting = weight > 0n && copies.length === this.cells.length && copies.every((z) => z >= 0n);
        need(fitting, "lottery.json: a term of the wrong form");
        total += weight;
        copies.forEach((z, k) => {
          if (z) expected[k] += weight * z;
        });
      }
      need(total === this.denominator, "lottery.json: the terms' weights do not add up");
      const k = this.cells.findIndex((cell, at) => cell[2] !== expected[at]);
      if (k >= 0) throw new Fault(`lottery.json: the terms expect another ${this.row(k)}`);
    }

    totals(side, amounts) {
      const sets = this.sides[side];
      const totals = Array(sets.length + 1).fill(0n); // shifted by one: the first is the grand total
      this.cells.forEach((cell, k) => (totals[Number(cell[3 + side]) + 1] += amounts[k]));
      for (let k = sets.length - 1; k >= 0; k--) totals[Number(sets[k][0]) + 1] += totals[k + 1];
      return totals;
    }

    row(k) {
      const [agent, good] = this.cells[k];
      return `${csvCell(this.agents[agent])},${csvCell(this.goods[good])},`;
    }

    csv(copies) {
      const rows = copies.map((number, k) => (number ? `${this.row(k)}${number}\n` : ""));
      return encode(this.header + rows.join(""));
    }

    copies(table) {
      const rest = new TextDecoder("utf-8", { ignoreBOM: true }).decode(table);
      need(rest.startsWith(this.header), "not the header");
      let at = this.header.length;
      const copies = this.cells.map((_, k) => {
        const row = this.row(k);
        if (!rest.startsWith(row, at)) return 0n;
        const number = /([1-9][0-9]{0,9})\n/y;
        number.lastIndex = at + row.length;
        const found = number.exec(rest);
        if (found) at = number.lastIndex;
        return found ? BigInt(found[1]) : 0n;
      });
      need(at === rest.length, "no cell's copies");
      return copies;
    }
  }

  // 4. The walk

  const walk = (lottery, coin) => {
    const d = lottery.denominator;
    const [agentSets, goodSets] = lottery.sides;
    const numerators = lottery.cells.map((cell) => cell[2]);
    const [agentTotals, goodTotals] = [lottery.totals(0, numerators), lottery.totals(1, numerators)];
    const g = agentSets.length + 1;
    const edges = [
      ...lottery.cells.map(([, , n, a, b]) => [Number(a) + 1, g + 1 + Number(b), n]),
      ...agentSets.map((row, k) => [Number(row[0]) + 1, k + 1, agentTotals[k + 1]]),
      ...goodSets.map((row, k) => [g + 1 + k, g + 1 + Number(row[0]), goodTotals[k + 1]]),
      [g, 0, agentTotals[0]],
    ];
    const flow = edges.map(([, , value]) => value % d);
    const whole = (e) => flow[e] === 0n || flow[e] === d;
    const adjacent = Array.from({ length: g + 1 + goodSets.length }, () => []); // the first edge stands last
    for (let e = edges.length - 1; e >= 0; e--) {
      if (!whole(e)) edges[e].slice(0, 2).forEach((node) => adjacent[node].push(e));
    }
    const firstEdge = (node, entering) => {
      const listed = adjacent[node];
      for (const back of [1, 2]) {
        while (listed.length >= back && whole(listed.at(-back))) listed.splice(-back, 1);
        if (listed.length >= back && listed.at(-back) !== entering) return listed.at(-back);
      }
      return -1;
    };
    for (let start = 0; start < adjacent.length; start++) {
      const [path, nodes, position] = [[], [start], new Map([[start, 0]])];
      for (let edge; (edge = firstEdge(nodes.at(-1), path.at(-1) ?? -1)) >= 0; ) {
        path.push(edge);
        const [tail, head] = edges[edge];
        const there = tail === nodes.at(-1) ? head : tail;
        if (!position.has(there)) {
          position.set(there, nodes.length);
          nodes.push(there);
          continue;
        }
        const begin = position.get(there);
        let [ahead, back] = [d, d];
        const along = (k) => edges[path[k]][0] === nodes[k];
        for (let k = begin; k < path.length; k++) {
          const used = along(k) ? flow[path[k]] : d - flow[path[k]];
          if (used < back) back = used;
          if (d - used < ahead) ahead = d - used;
        }
        const step = coin(back, ahead + back) ? ahead : -back;
        for (let k = begin; k < path.length; k++) flow[path[k]] += along(k) ? step : -step;
        let cut = begin;
        while (!whole(path[cut])) cut++;
        nodes.splice(cut + 1).forEach((node) => position.delete(node));
        path.splice(cut);
      }
    }
    return numerators.map((n, k) => n / d + (flow[k] === d ? 1n : 0n));
  };

  // 4a. The pick

  const pick = (lottery, seed) => {
    const d = lottery.denominator;
    const width = d > 1n ? (d - 1n).toString(2).length : 0;
    const bit = bits(seed);
    let number;
    do {
      number = 0n;
      for (let k = 0; k < width; k++) number = 2n * number + (bit() ? 1n : 0n);
    } while (number >= d);
    for (const [weight, copies] of lottery.terms) {
      number -= weight;
      if (number < 0n) return copies;
    }
    throw new Fault("lottery.json: the terms' weights do not add up");
  };

  const drawFrom = (lottery, seed) => (lottery.terms ? pick(lottery, seed) : walk(lottery, coins(seed)));

  // 5. Checks

  const commitments = (files) => {
    const earlier = [...files.keys()].filter((name) => name.startsWith("draws/"));
    const folders = new Set(earlier.map((name) => name.slice(0, name.indexOf("/", 6) + 1)));
    return [...[...folders].sort(ascending), ""].map((folder) => [
      folder,
      read(files, `${folder}commitment.json`, COMMITMENT),
    ]);
  };

  const attempts = (files) =>
    commitments(files).map(([folder, document]) => [
      folder,
      document,
      read(files, `${folder}transcript.json`, TRANSCRIPT),
    ]);

  const drawn = (files) =>
    attempts(files)
      .filter(([, , transcript]) => transcript.get("status") === "drawn")
      .map(([folder, , transcript]) => {
        const name = `${folder}assignment.csv`;
        need(files.has(name), `${name} is missing`);
        return [name, transcript, files.get(name)];
      });

  const checkManifest = (files) => {
    const shape = keyed({ format: is(1n), files: (value) => value instanceof Map });
    const listed = read(files, "manifest.json", shape).get("files");
    const names = new Set([...files.keys(), ...listed.keys()]);
    names.delete("manifest.json");
    for (const name of [...names].sort(ascending)) {
      need(files.has(name), `${name} is missing`);
      need(listed.get(name) === hash(files.get(name)), `${name} has changed, or is not listed`);
    }
  };

  const checkLottery = (files) => void new Lottery(files);

  const checkCommitment = (files) => {
    for (const [folder, document] of commitments(files)) {
      const frozen = document.get("frozen");
      for (const key of ["files", "personal", "agents"]) {
        const ascends = frozen.get(key).every(([id], k, list) => !k || ascending(list[k - 1][0], id) < 0);
        need(ascends, `${folder}commitment.json: ${key} do not ascend`);
      }
      const digest = hash(canonicalBytes(frozen));
      need(document.get("commitment") === digest, `${folder}commitment.json: the hash does not fit`);
    }
  };

  const checkFrozen = (files) => {
    const closed = new Set();
    for (const [, document] of commitments(files)) {
      const frozen = document.get("frozen");
      need(new Lottery(files).hash === frozen.get("lottery"), "lottery.json has changed");
      for (const [name, digest] of frozen.get("files")) {
        need(files.has(name) && hash(files.get(name)) === digest, `${name} has changed or is missing`);
      }
      frozen.get("personal").forEach(([name]) => closed.add(name));
    }
    if (closed.size) return `opened only with their salts, not here: ${[...closed].sort(ascending).join(", ")}`;
  };

  const checkRecord = (files) => {
    let previous = null;
    const seeds = new Set([null]);
    const found = attempts(files);
    found.forEach(([folder, document, t], k) => {
      const name = `${folder}transcript.json`;
      const place = k + 1 === found.length ? "" : `draws/${String(k + 1).padStart(3, "0")}/`;
      need(folder === place, `${name}: should be draw ${k + 1}`);
      const follows = t.get("number") === BigInt(k + 1) && t.get("previous") === previous;
      need(follows, `${name}: does not follow the one before`);
      const draw = document.get("frozen").get("draw");
      need(t.get("draw") === draw && draw === found[0][2].get("draw"), `${name}: another draw`);
      const beside = t.get("commitment") === document.get("commitment");
      need(beside, `${name}: another commitment than the one beside it`);
      need(t.get("reason") || (k === 0 && t.get("status") === "drawn"), `${name}: gives no reason`);
      if (t.get("status") === "drawn") {
        need(!seeds.has(t.get("seed")), `${name}: has no seed, or one that was used before`);
        seeds.add(t.get("seed"));
      } else {
        const empty = ["public_seed", "seed", "assignment"].every((key) => t.get(key) === null);
        need(empty && !files.has(`${folder}assignment.csv`), `${name}: aborted, yet something was drawn`);
      }
      previous = hash(files.get(name));
    });
  };

  const checkSeed = (files) => {
    let note;
    for (const [folder, document, t] of attempts(files)) {
      const name = `${folder}transcript.json`;
      const [origin, source] = [t.get("origin"), document.get("frozen").get("source")];
      const kind = origin.get("kind");
      let [complete, publicSeed] = [true, t.get("public_seed")];
      const announced = new Map([["kind", kind]]);
      if (kind === "given") {
        note = "how the public seed came about is for its witnesses to say";
      } else if (kind === "drand") {
        publicSeed = hash(fromHex(origin.get("signature")));
        announced.set("chain", origin.get("chain")).set("round", origin.get("round"));
        note = `whether drand signed round ${origin.get("round")} is not checked here: that takes BLS12-381`;
      } else if (kind === "ceremony") {
        const [dice, officials] = [origin.get("dice"), origin.get("officials")];
        for (const [official, sealed, number] of officials) {
          const fitting = number === null || seal(t.get("commitment"), official, number) === sealed;
          need(fitting, `${name}: the number of ${official} does not fit her seal`);
        }
        const opened = officials.map(([official, , number]) => [official, number]);
        complete = opened.length > 0 && dice !== null && opened.every(([, number]) => number !== null);
        need(new Map(opened).size === opened.length, `${name}: one official twice`);
        publicSeed = complete ? ceremonySeed(t.get("commitment"), dice, opened) : null;
        announced.set("officials", officials.map(([official]) => official));
      }
      if (t.get("status") === "drawn") {
        const fulfilled = source.get("kind") === "open" || canonical(source) === canonical(announced);
        need(fulfilled, `${name}: another source than was announced`);
        need(complete && kind !== "none", `${name}: the seed has no complete origin`);
        const fits = publicSeed && publicSeed === t.get("public_seed");
        need(fits, `${name}: the public seed is not of its origin`);
        const mixed = toHex(innerSeed(publicSeed, t.get("commitment")));
        need(mixed === t.get("seed"), `${name}: the seed is not public seed and commitment mixed`);
      }
    }
    return note;
  };

  const checkAssignment = (files) => {
    const lottery = new Lottery(files);
    for (const [name, transcript, assignment] of drawn(files)) {
      need(hash(assignment) === transcript.get("assignment"), `${name}: another hash than in the transcript`);
      need(transcript.get("seed"), `${name}: no seed`);
      const again = lottery.csv(drawFrom(lottery, fromHex(transcript.get("seed"))));
      need(sameBytes(again, assignment), `${name}: not what the seed gives`);
    }
  };

  const checkBounds = (files) => {
    const lottery = new Lottery(files);
    const d = lottery.denominator;
    const expected = lottery.cells.map((cell) => cell[2]);
    const rounded = (n, z) => n / d <= z && z <= (n + d - 1n) / d;
    for (const [name, , assignment] of drawn(files)) {
      const copies = lottery.copies(assignment);
      copies.forEach((z, k) => need(rounded(expected[k], z), `${name}: ${lottery.row(k)} is ${z}`));
      lottery.sides.forEach((sets, side) => {
        const [parts, wholes] = [lottery.totals(side, expected), lottery.totals(side, copies)];
        [[-1n, null, null, "the total"], ...sets].forEach(([, lower, upper, label], k) => {
          const free = lottery.terms !== null; // no set's total has to be a rounded one
          need(free || rounded(parts[k], wholes[k]), `${name}: ${label} is ${wholes[k]}`);
          const kept = (lower === null || lower <= wholes[k]) && (upper === null || wholes[k] <= upper);
          need(kept, `${name}: ${label} is ${wholes[k]}, beyond what was declared`);
          need(lower === null || lower * d <= parts[k], `${label} can fall below ${lower}`);
          need(upper === null || parts[k] <= upper * d, `${label} can exceed ${upper}`);
        });
      });
    }
  };

  const CHECKS = {
    manifest: checkManifest,
    lottery: checkLottery,
    commitment: checkCommitment,
    "frozen files": checkFrozen,
    record: checkRecord,
    seed: checkSeed,
    assignment: checkAssignment,
    bounds: checkBounds,
  };

  /** Run every check on a Map from path to Uint8Array; return [{name, passed, note}, ...]. */
  const verify = (files, published) => {
    const results = Object.entries(CHECKS).map(([name, check]) => {
      try {
        return { name, passed: true, note: check(files) ?? "" };
      } catch (fault) {
        if (!(fault instanceof Fault)) throw fault;
        return { name, passed: false, note: fault.message };
      }
    });
    const found = results.find(({ name }) => name === "commitment");
    if (published && found.passed && commitments(files).at(-1)[1].get("commitment") !== published) {
      Object.assign(found, { passed: false, note: "another commitment than the published one" });
    }
    return results;
  };

  /** Draw from the bytes of lottery.json; seed and commitment in hexadecimal. Returns assignment.csv. */
  const draw = (lotteryJson, publicSeed, commitment) => {
    const lottery = new Lottery(new Map([["lottery.json", lotteryJson]]));
    return lottery.csv(drawFrom(lottery, innerSeed(publicSeed, commitment)));
  };

  /** Hash what an agent entered after her salt: it must stand beside her id in commitment.json. */
  const rowHash = (salt, row) => hash(join(fromHex(salt), row));

  return { verify, draw, ticket, seal, ceremonySeed, rowHash, innerSeed, coins, hash, hmac, toHex, fromHex };
})();

if (typeof module !== "undefined") {
  module.exports = fairlotDraw;
  if (require.main === module) {
    const { readdirSync, readFileSync } = require("node:fs");
    const { join } = require("node:path");
    const [folder, published] = process.argv.slice(2);
    const files = new Map();
    const gather = (path) => {
      for (const entry of readdirSync(join(folder, path), { withFileTypes: true })) {
        if (/^[.~]/.test(entry.name)) continue;
        const name = path + entry.name;
        if (entry.isDirectory()) gather(`${name}/`);
        else files.set(name, new Uint8Array(readFileSync(join(folder, name))));
      }
    };
    gather("");
    const results = fairlotDraw.verify(files, published);
    for (const { name, passed, note } of results) {
      console.log(`${passed ? "ok   " : "FAIL "}${name}${note ? ": " : ""}${note}`);
    }
    process.exitCode = results.every(({ passed }) => passed) ? 0 : 1;
  }
}
