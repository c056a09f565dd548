/* Repeats a published draw in the visitor's browser with draw.js, and compares it with what this page says. */
"use strict";
(() => {
  const button = document.getElementById("check");
  const answer = document.getElementById("checked");
  if (!button || !answer) return;
  const words = answer.dataset;
  const make = (tag, text, parent) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const text = (files, name) => new TextDecoder().decode(files.get(name));

  /* The cells of a table that fairlot wrote: no reader of any CSV. */
  const records = (csv) => csv.trimEnd().split("\n").slice(1).map((line) =>
    [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].slice(0, 3).map(([, cell]) =>
      (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell).replace(/^'('*[=+\-@])/, "$1")));

  const mine = (files) => {
    const { agent, drawn } = button.dataset;
    const shown = Object.entries(JSON.parse(drawn)).filter(([, copies]) => copies > 0);
    const found = new Map(records(text(files, "assignment.csv"))
      .filter(([id]) => id === agent).map(([, good, copies]) => [good, Number(copies)]));
    return found.size === shown.length && shown.every(([good, copies]) => found.get(good) === copies);
  };
  const row = (files) => {
    const { agent, salt, row: entry } = button.dataset;
    const frozen = JSON.parse(text(files, "commitment.json")).frozen;
    const listed = new Map(frozen.agents).get(agent);
    return listed === fairlotDraw.rowHash(salt, new TextEncoder().encode(entry));
  };
  const ticket = (files) => {
    const { draw, seed } = JSON.parse(text(files, "transcript.json"));
    return fairlotDraw.ticket(fairlotDraw.fromHex(seed), draw, button.dataset.agent) === button.dataset.ticket;
  };

  const check = (files) => {
    const published = document.getElementById("published")?.value.trim() || undefined;
    const results = fairlotDraw.verify(files, published);
    const own = { drawn: ["mine", mine], salt: ["row", row], ticket: ["ticket", ticket] };
    for (const [key, [name, test]] of Object.entries(own)) {
      if (button.dataset[key] === undefined) continue;
      let passed = false;
      try {
        passed = test(files);
      } catch {
        passed = false;
      }
      results.push({ name, passed, note: "" });
    }
    return results;
  };

  const tell = (results) => {
    const passed = results.every((result) => result.passed);
    const verdict = make("p", undefined, answer);
    verdict.className = passed ? "notice good" : "notice bad";
    make("strong", passed ? `✓ ${words.passed}` : `✗ ${words.failed}`, verdict);
    const list = make("ul", undefined, answer);
    list.className = "lines";
    results.forEach(({ name, passed: good, note }) => {
      const line = make("li", undefined, list);
      const key = `name${name[0].toUpperCase()}${name.slice(1).split(" ")[0]}`;
      make("span", `${good ? "✓" : "✗"} ${words[key] ?? name}`, line).className = good ? "good" : "bad";
      if (note) make("p", note, line).className = "quiet";
    });
  };

  button.hidden = false;
  button.addEventListener("click", async () => {
    answer.replaceChildren();
    make("p", words.busy, answer);
    button.disabled = true;
    try {
      const fetched = await fetch(button.dataset.files);
      if (!fetched.ok) throw new Error(String(fetched.status));
      const files = new Map(Object.entries(await fetched.json()).map(([name, data]) =>
        [name, Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))]));
      await new Promise((resolve) => { setTimeout(resolve); });
      const results = check(files);
      answer.replaceChildren();
      tell(results);
    } catch {
      answer.replaceChildren();
      make("p", `✗ ${words.unreachable}`, answer).className = "notice bad";
    } finally {
      button.disabled = false;
    }
  });
})();
