// The live frame log: rows come ready from the server; this puts them on top, at most MAX_ROWS of them.
"use strict";

(() => {
  const MAX_ROWS = 300;
  const rows = document.getElementById("live-rows");
  const table = document.getElementById("live");
  const state = document.getElementById("live-state");
  const dropped = document.getElementById("live-dropped");
  const pause = document.getElementById("live-pause");
  if (!rows || !window.EventSource) return;

  let newest = Number(rows.dataset.newest);
  let paused = false;
  let waiting = [];
  let lost = 0;

  const show = (name, kind) => {
    state.textContent = state.dataset[paused ? "paused" : name];
    state.className = "badge " + (paused ? "" : kind);
  };

  const put = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    const row = template.content.firstElementChild;
    const known = rows.querySelector('[data-frame="' + row.dataset.frame + '"]');
    if (known) {
      known.replaceWith(row);
      return;
    }
    if (Number(row.dataset.frame) < newest) return;
    newest = Number(row.dataset.frame);
    row.classList.add("fresh");
    rows.prepend(row);
    while (rows.children.length > MAX_ROWS) rows.lastElementChild.remove();
    const empty = document.getElementById("live-empty");
    if (empty) empty.remove();
  };

  const source = new EventSource("/live/stream" + (table.dataset.query ? "?" + table.dataset.query : ""));
  let last = ["lost", "warn"];
  source.addEventListener("network", (event) => {
    last = event.data === "away" ? ["away", "bad"] : ["here", "good"];
    show(...last);
  });
  source.addEventListener("error", () => {
    last = ["lost", "warn"];
    show(...last);
  });
  source.addEventListener("dropped", (event) => {
    lost += Number(event.data);
    dropped.textContent = lost + " " + dropped.dataset.text;
  });
  source.addEventListener("frame", (event) => {
    const html = JSON.parse(event.data);
    if (!paused) {
      put(html);
      return;
    }
    waiting.push(html);
    if (waiting.length > MAX_ROWS) waiting.shift();
  });

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.classList.toggle("primary", paused);
    show(...last);
    if (!paused) {
      waiting.forEach(put);
      waiting = [];
    }
  });
  window.addEventListener("pagehide", () => source.close());
})();
