// Recordings: those that are stored, newest first, as filters choose them.
import { get, own } from "./api.js";
import { button, el, empty, failure, span, table, time } from "./parts.js";

const COLUMNS = [["Recorded", ""], ["From", ""], ["To", ""], ["Direction", ""], ["Length", "n"], ["Owner", ""], ["Hold", ""]];
const DAY = 86400;
const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);

export function show(place, { signal, expired }) {
  const now = Date.now() / 1000;
  const field = (text, name, more = {}) => el("label", {}, text, el("input", { name, ...more }));
  const form = el("form", { class: "row", role: "search", onsubmit: (event) => { event.preventDefault(); load(); } },
    field("From day (UTC)", "from", { type: "date", value: day(now - 30 * DAY), required: true }),
    field("To day", "to", { type: "date", value: day(now), required: true }),
    field("Caller’s number", "caller_id_number"), field("Called number", "callee_id_number"), field("Owner (user id)", "owner_id"),
    el("label", {}, "Direction", el("select", { name: "direction" }, el("option", { value: "" }, "any"), el("option", {}, "inbound"), el("option", {}, "outbound"))),
    el("label", {}, "Legal hold", el("select", { name: "hold" }, el("option", { value: "" }, "any"), el("option", { value: "has_key" }, "held"), el("option", { value: "key_missing" }, "not held"))),
    el("button", { class: "main" }, "Search"));
  const body = el("div", { "aria-live": "polite" });
  place.append(el("h1", {}, "Recordings"), form, body);
  let rows = [];
  const load = async (next) => {
    if (!next) { rows = []; body.replaceChildren(el("p", { class: "note" }, "Loading…")); }
    try {
      const answer = await get(own(`recordings?${query(new FormData(form), next)}`), signal);
      rows = rows.concat(answer.data);
      draw(answer.next_start_key);
    } catch (error) {
      if (!signal.aborted && !expired(error)) body.replaceChildren(failure(error, () => load(next)));
    }
  };
  const draw = (next) => {
    if (!rows.length) return body.replaceChildren(empty("No recordings match. They are found by the day they were made, at most 31 days at once; what is still on its way is under Deliveries."));
    const parts = [el("p", { class: "note" }, `${rows.length} shown${next ? ", there are more" : ""}`), table("Recordings", COLUMNS, rows.map(row))];
    if (next) parts.push(el("p", {}, button("Show more", () => load(next))));
    body.replaceChildren(...parts);
  };
  load();
}

function query(form, next) {
  const from = Date.parse(form.get("from")) / 1000;
  const until = Math.min(Date.parse(form.get("to")) / 1000 + DAY, Math.ceil(Date.now() / 1000) + 60);
  const params = new URLSearchParams({ created_from: from, created_to: Math.min(until, from + 31 * DAY), page_size: 50 });
  for (const key of ["caller_id_number", "callee_id_number", "owner_id", "direction"]) {
    if (form.get(key)) params.set(`filter_${key}`, form.get(key).trim());
  }
  if (form.get("hold")) params.set(form.get("hold"), "hold");
  if (next) params.set("start_key", next);
  return params;
}

function row(doc) {
  const start = doc._read_only?.start_unix ?? doc._read_only?.created_unix;
  const link = el("a", { href: `#/recordings/${encodeURIComponent(doc.id)}` }, time(start));
  return [link, doc.caller_id_number ?? doc.from, doc.callee_id_number ?? doc.to, doc.direction,
    span(doc.duration_ms != null ? doc.duration_ms / 1000 : doc.duration), doc.owner_id, doc.hold ? el("span", { class: "tag warn" }, "legal hold") : null];
}
