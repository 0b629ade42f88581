// MeterWAN console: the keys, the menu on a phone, the CSRF header, forms that ask before they do.
"use strict";

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const field = document.querySelector("[data-search]");
    if (field) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  }
  if (event.key === "Escape") {
    document.body.classList.remove("menu-open");
    if (typing && typing.matches("[data-search]")) typing.blur();
  }
});

document.addEventListener("click", (event) => {
  const menu = event.target.closest("[data-menu]");
  if (menu) {
    const open = document.body.classList.toggle("menu-open");
    menu.setAttribute("aria-expanded", String(open));
  }
  const copy = event.target.closest("[data-copy]");
  if (copy && navigator.clipboard) navigator.clipboard.writeText(copy.dataset.copy);
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector('meta[name="csrf"]');
  if (token) event.detail.headers["X-CSRF-Token"] = token.content;
});

// Problems come with their own status; htmx shows them where the answer says.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.getResponseHeader("HX-Retarget")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

// A file that is chosen is read into the field that says what it holds; its text is sent, not the file.
document.addEventListener("change", async (event) => {
  const target = event.target.dataset.into && document.getElementById(event.target.dataset.into);
  if (!target || !event.target.files.length) return;
  target.value = await event.target.files[0].text();
  target.dispatchEvent(new Event("input", { bubbles: true }));
});

// Arrows go from row to row of a table, to the same place in it: link, button or field.
const STOPS = "a[href], button, input:not([type=hidden]), select, summary";
document.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const row = event.target.closest("tbody tr");
  if (!step || !row || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.matches("select, textarea, input:not([type=checkbox])")) return; // there the arrows mean something
  const place = [...row.querySelectorAll(STOPS)].indexOf(event.target);
  let next = row;
  do next = step > 0 ? next.nextElementSibling : next.previousElementSibling;
  while (next && !next.querySelector(STOPS));
  if (!next) return;
  event.preventDefault();
  const stops = next.querySelectorAll(STOPS);
  stops[Math.min(Math.max(place, 0), stops.length - 1)].focus();
});
