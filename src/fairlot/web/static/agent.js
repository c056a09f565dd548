/* What a phone adds to the form of an agent: it works without. No framework but htmx beside it, nothing from elsewhere. */
"use strict";
(() => {
  const form = document.getElementById("ballot");
  const page = document.documentElement.lang;
  const language = navigator.language.startsWith(page) ? navigator.language : page;
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);

  const local = () => each("time[datetime]:not([title])", (time) => {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.valueOf())) return;
    time.title = time.textContent;
    time.textContent = new Intl.DateTimeFormat(language, { dateStyle: "long", timeStyle: "short" }).format(moment);
  });
  local();
  if (!form) return;

  // 1. Every change is saved; what is not saved is told, and tried again.

  each("[data-auto]", (hint) => { hint.hidden = false; });
  let unsaved = false;
  let attempt = { content: null, key: null };
  const show = (name, visible) => each(`[data-${name}]`, (element) => { element.hidden = !visible; });
  const content = () => JSON.stringify([...new FormData(form)].filter(([name]) => name.startsWith("rate:") || name === "pick"));

  form.addEventListener("change", () => { unsaved = true; });
  document.body.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.elt !== form) return;
    const now = content();
    if (attempt.content !== now) attempt = { content: now, key: crypto.randomUUID?.() ?? form.elements.key.value };
    event.detail.parameters.set?.("key", attempt.key);
  });
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.elt === form) show("saving", true);
  });
  let wait = 3000;
  const failed = (event) => {
    if (event.detail.elt !== form) return;
    const ended = [401, 403, 404].includes(event.detail.xhr?.status);
    show("saving", false);
    show("ended", ended);
    show("unsaved", !ended);
    if (ended) return;
    setTimeout(() => htmx.trigger(form, "submit"), wait);
    wait = Math.min(2 * wait, 60000);
  };
  ["htmx:sendError", "htmx:responseError", "htmx:timeout"].forEach((name) => document.body.addEventListener(name, failed));
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target?.id !== "status") return;
    unsaved = content() !== attempt.content;
    wait = 3000;
    local();
  });
  addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
  form.addEventListener("submit", () => { if (!window.htmx) unsaved = false; });

  // 2. Find among the goods while typing.

  const find = document.getElementById("find");
  if (find) {
    const rows = [...document.querySelectorAll("#goods > li")];
    const found = document.getElementById("found");
    const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase(language);
    const texts = rows.map((row) => plain(row.dataset.text));
    const narrow = () => {
      const asked = plain(find.value).split(/\s+/).filter(Boolean);
      let count = 0;
      rows.forEach((row, k) => {
        const fits = asked.every((word) => texts[k].includes(word));
        row.hidden = !fits;
        count += fits ? 1 : 0;
      });
      const many = count === 1 ? found.dataset.one : found.dataset.many;
      found.textContent = many.replace("%(num)s", new Intl.NumberFormat(language).format(count));
    };
    find.addEventListener("input", narrow);
    find.addEventListener("change", (event) => event.stopPropagation());
    find.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    find.closest(".search").querySelector("button").hidden = true;
    narrow();
  }

  // 3. A slider beside each number of points.

  each('#goods input[type="number"]', (number) => {
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: number.min, max: number.max, step: 1, value: number.value });
    slider.setAttribute("aria-label", document.querySelector(`label[for="${number.id}"]`).textContent);
    slider.addEventListener("input", () => { number.value = slider.value; });
    number.addEventListener("input", () => { slider.value = number.value; });
    number.before(slider);
  });
})();
