"use strict";
(() => {
  const data = (id) => JSON.parse(document.getElementById(id).textContent);
  const make = (tag, text, parent) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const table = (label, header, rows, parent) => {
    const box = make("div", undefined, parent);
    box.className = "scroll";
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", label);
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
        const line = make("p", undefined, answer);
        line.style.whiteSpace = "pre-line";
        // The letters' own marks: *task* and `pick`.
        paragraph.split(/(\*[^*]+\*|`[^`]+`)/).forEach((part, k) => {
          if (k % 2) make(part[0] === "*" ? "em" : "code", part.slice(1, -1), line);
          else line.append(part);
        });
      });
      if (found.rows.length) table(`Table of ${id}`, header, found.rows, answer);
    });
  }

  const cell = (value) => {
    // What a spreadsheet would run is text to it.
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  document.querySelectorAll("button[data-table]").forEach((button) => {
    button.addEventListener("click", () => {
      const { name, header, rows } = data("table-data")[Number(button.dataset.table)];
      const lines = [header, ...rows].map((line) => `${line.map(cell).join(",")}\n`);
      const link = make("a");
      link.href = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
      link.download = name;
      link.click();
      URL.revokeObjectURL(link.href);
    });
  });

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
      table("Checks of the draw", ["check", "found"], results.map(({ name, passed: good, note }) =>
        [`${good ? "✓" : "✗"} ${name}`, note || (good ? "as it should be" : "")]), answer);
    });
  }
})();
