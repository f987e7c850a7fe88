// Deliveries: what is still owed, why, and what may be ordered about it.
import { ask, get, poll, session } from "./api.js";
import { button, el, empty, failure, reason, say, table, timeOf } from "./parts.js";

const COLUMNS = [["Since", ""], ["Recording", ""], ["State", ""], ["Goes to", ""], ["Why not yet", ""], ["Next try", ""], ["Orders", ""]];
const RECEIVERS = [["Receiver", ""], ["Failing since", ""], ["Why", ""], ["Next probe", ""], ["Waiting", "n"]];

export function show(place, { signal, operator, expired }) {
  const body = el("div", {}, el("p", { class: "note" }, "Loading…"));
  const troubled = el("div");
  const all = el("button", { type: "button", class: "main" }, "Try all again");
  place.append(el("h1", {}, "Deliveries"), el("p", {}, all), body, troubled);
  const account = `account_id=${encodeURIComponent(session.account)}`;
  const order = async (path, text, why) => {
    try { await ask("POST", path, { data: why == null ? {} : { reason: why } }); say(text); } catch (error) { say(error.message); }
    load();
  };
  all.addEventListener("click", () => order(`/deliveries/retry?${account}`, "Ordered: all are tried now."));
  const acts = (ticket) => el("span", { class: "acts" },
    button("Retry", () => order(`/deliveries/${ticket.id}/retry`, "Ordered: it is tried now."), { "data-act": `retry ${ticket.id}` }),
    button("Drop…", async () => {
      const why = await reason("Remove this recording undelivered", "Drop it");
      if (why) order(`/deliveries/${ticket.id}/drop`, "Ordered: it is dropped.", why);
    }, { class: "risky", "data-act": `drop ${ticket.id}` }));
  const load = async () => {
    try {
      const { data, next_start_key: more } = await get(`/deliveries?${account}&page_size=100`, signal);
      const held = document.activeElement?.dataset?.act;
      all.disabled = !data.length;
      body.replaceChildren(data.length ? table("Deliveries", COLUMNS, data.map((ticket) => row(ticket, acts(ticket)))) : empty("Nothing is owed: every recording has arrived where it belongs."));
      if (more) body.append(el("p", { class: "note" }, "These are the oldest hundred; there are more."));
      if (held) body.querySelector(`[data-act="${CSS.escape(held)}"]`)?.focus();
      if (operator) await receivers();
      return true;
    } catch (error) {
      if (signal.aborted || expired(error)) return false;
      body.replaceChildren(failure(error, load));
      return false;
    }
  };
  const receivers = async () => {
    const { data } = await get("/deliveries/receivers", signal);
    const rows = data.map((one) => [one.host, timeOf(one.failing_since), one.last_error, timeOf(one.next_probe), String(one.waiting)]);
    troubled.replaceChildren(...(rows.length ? [el("h2", {}, "Receivers that are left alone between probes"), table("Receivers", RECEIVERS, rows)] : []));
  };
  poll(signal, 5000, load);
}

function row(ticket, acts) {
  const bad = ticket.state === "undeliverable";
  const why = [ticket.last_error, ticket.attempts ? `${ticket.attempts} tries` : null].filter(Boolean).join(" – ");
  const state = el("span", {}, el("span", { class: `tag ${bad ? "bad" : ""}` }, ticket.state), ticket.hold ? el("span", { class: "tag warn" }, "legal hold") : null);
  return [timeOf(ticket.started_at), el("span", { class: "mono" }, ticket.id), state, ticket.destination, why || "–", timeOf(ticket.next_attempt_at), acts];
}
