"use strict";
(() => {
  const data = (id) => JSON.parse(document.getElementById(id).textContent);
  const make = (tag, text, parent) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const table = (header, rows, parent) => {
    const box = make("div", undefined, parent);
    box.className = "scroll";
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Details");
    const whole = make("table", undefined, box);
    const head = make("tr", undefined, make("thead", undefined, whole));
    header.forEach((name) => (make("th", name, head).scope = "col"));
    const body = make("tbody", undefined, whole);
    rows.forEach((row) => {
      const line = make("tr", undefined, body);
      row.forEach((cell) => make("td", cell, line));
    });
  };

  const lookup = document.getElementById("lookup");
  if (lookup) {
    const { header, agents } = data("lookup-data");
    const answer = document.getElementById("answer");
    lookup.addEventListener("submit", (event) => {
      event.preventDefault();
      answer.replaceChildren();
      const id = document.getElementById("agent").value.trim();
      const found = Object.hasOwn(agents, id) ? agents[id] : undefined;
      if (!found) {
        make("p", `There is no agent “${id}” in this result.`, answer);
        return;
      }
      found.text.forEach((paragraph) => {
        make("p", paragraph, answer).style.whiteSpace = "pre-line";
      });
      if (found.rows.length) table(header, found.rows, answer);
    });
  }

  const row = document.getElementById("open-row");
  if (row) {
    const published = new Map(
      Array.from(document.querySelectorAll("#commitments tbody tr"), (line) =>
        Array.from(line.cells, (cell) => cell.textContent)),
    );
    row.addEventListener("submit", (event) => {
      event.preventDefault();
      const [id, salt, text] = ["row-id", "row-salt", "row-text"].map((name) => document.getElementById(name).value);
      const answer = document.getElementById("row-answer");
      if (!published.has(id.trim())) answer.textContent = `There is no “${id.trim()}” among the commitments.`;
      else if (!/^[0-9a-f]{64}$/.test(salt.trim())) answer.textContent = "A salt is 64 characters from 0-9 and a-f.";
      else {
        const bytes = (entry) => new TextEncoder().encode(entry);
        const wanted = published.get(id.trim());
        const entries = [text, text.replace(/\n*$/, "\n"), text.replace(/\n*$/, "")];
        const same = entries.some((entry) => fairlotDraw.rowHash(salt.trim(), bytes(entry)) === wanted);
        answer.textContent = same ? "✓ This is what was frozen for you." : "✗ This is not what was frozen for you.";
      }
    });
  }

  const check = document.getElementById("check");
  if (check) {
    const folder = document.getElementById("folder");
    const files = async () => {
      if (!folder) {
        return new Map(Object.entries(data("file-data")).map(([name, text]) =>
          [name, Uint8Array.from(atob(text), (character) => character.charCodeAt(0))]));
      }
      const opened = await Promise.all(Array.from(folder.files, async (file) =>
        [file.webkitRelativePath.split("/").slice(1).join("/") || file.name, new Uint8Array(await file.arrayBuffer())]));
      return new Map(opened);
    };
    check.addEventListener("click", async () => {
      const answer = document.getElementById("checked");
      answer.replaceChildren();
      const found = await files();
      if (!found.size) {
        make("p", "Open the result folder first.", answer);
        return;
      }
      const published = document.getElementById("published").value.trim() || undefined;
      const results = fairlotDraw.verify(found, published);
      const passed = results.every((result) => result.passed);
      const verdict = make("p", passed ? "✓ The draw checks." : "✗ The draw does NOT check.", answer);
      verdict.className = passed ? "good" : "bad";
      table(["check", "found"], results.map(({ name, passed: good, note }) =>
        [`${good ? "✓" : "✗"} ${name}`, note || (good ? "as it should be" : "")]), answer);
    });
  }
})();
