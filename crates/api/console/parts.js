// What pages are made of: elements, tables, times, questions to a person. Knows no API.

/** An element: attributes that start with "on" are listeners, texts are never read as HTML. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null));
  return element;
}

export const button = (text, onclick, more = {}) => el("button", { type: "button", onclick, ...more }, text);

/** A table that becomes a list of cards where it is narrow. A column is [heading, class]. */
export function table(caption, columns, rows) {
  const head = columns.map(([name, kind]) => el("th", { scope: "col", class: kind }, name));
  const body = rows.map((cells) =>
    el("tr", {}, cells.map((cell, at) => el("td", { class: columns[at][1], "data-label": columns[at][0] }, el("span", {}, cell ?? "–")))));
  return el("table", { class: "cards", "aria-label": caption }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
}

export const facts = (pairs) =>
  el("dl", {}, pairs.filter(([, value]) => value != null && value !== "").map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));

export const empty = (...text) => el("p", { class: "empty" }, ...text);

export function failure(error, again) {
  const box = el("div", { class: "error", role: "alert" }, el("p", {}, error.message));
  if (again) box.append(button("Try again", again));
  return box;
}

export const GREGORIAN = 62167219200;
const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
export const time = (unix) => (unix ? el("time", { datetime: new Date(unix * 1000).toISOString() }, when.format(unix * 1000)) : "–");
export const timeOf = (text) => (text ? time(Date.parse(text) / 1000) : "–");

export function span(seconds) {
  if (seconds == null || Number.isNaN(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${Math.floor((whole % 3600) / 60)}:${two(whole % 60)}`;
  return hours ? `${hours}:${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}` : rest;
}

export function size(bytes) {
  if (bytes == null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) { bytes /= 1000; at += 1; }
  return `${bytes.toFixed(at && bytes < 10 ? 1 : 0)} ${units[at]}`;
}

/** Says something to everybody, who sees and who hears. */
let hiding;
export function say(text) {
  const status = document.getElementById("status");
  status.textContent = text;
  clearTimeout(hiding);
  hiding = setTimeout(() => { status.textContent = ""; }, 8000);
}

/** Asks for a reason; null when the person thinks better of it. */
export function reason(title, verb) {
  const input = el("input", { name: "reason", required: true, maxlength: 500, autocomplete: "off" });
  const dialog = el("dialog", { "aria-label": title },
    el("form", { method: "dialog", class: "stack" },
      el("h2", {}, title),
      el("label", {}, "Reason, kept with the evidence", input),
      el("div", { class: "acts" }, el("button", { class: "main", value: "yes" }, verb),
        el("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"))));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    dialog.remove();
    resolve(dialog.returnValue === "yes" ? input.value.trim() : null);
  }));
}
