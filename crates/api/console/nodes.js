// Nodes: every node of the cluster, by its heartbeats.
import { get, poll } from "./api.js";
import { el, empty, failure, size, span, table, time } from "./parts.js";

const COLUMNS = [["Node", ""], ["Roles", ""], ["State", ""], ["Calls", "n"], ["Channels", "n"], ["Phones", "n"], ["Owed", "n"], ["Spool", ""], ["Bus", ""], ["Version", ""], ["Since", ""]];

export function show(place, { signal, expired }) {
  const body = el("div", {}, el("p", { class: "note" }, "Loading…"));
  place.append(el("h1", {}, "Nodes"), body);
  const load = async () => {
    try {
      const { data } = await get("/nodes", signal);
      body.replaceChildren(data.length ? table("Nodes", COLUMNS, data.map(row)) : empty("No node has been heard of yet. A node says what it does every five seconds."));
      return true;
    } catch (error) {
      if (signal.aborted || expired(error)) return false;
      body.replaceChildren(failure(error, load));
      return false;
    }
  };
  poll(signal, 5000, load);
}

function row(node) {
  const roles = node.roles?.join(", ") ?? `Kazoo: ${node.apps.join(", ")}`;
  return [el("strong", {}, node.name), roles, state(node), node.calls, node.channels, node.registrations, node.owed, spool(node.spool), bus(node.bus), node.version, time(node.started_unix)]
    .map((cell) => (typeof cell === "number" ? String(cell) : cell));
}

function state(node) {
  if (node.heard_s > 12) return el("span", { class: "tag bad" }, `silent for ${span(node.heard_s)}`);
  if (node.draining) return el("span", { class: "tag warn" }, "draining");
  if (node.spool?.refuses_recordings) return el("span", { class: "tag bad" }, "spool full");
  return el("span", { class: "tag good" }, "running");
}

function spool(disk) {
  if (!disk?.total_bytes) return null;
  const used = 1 - disk.free_bytes / disk.total_bytes;
  return el("span", {}, el("meter", { value: used, min: 0, max: 1, high: 0.85, optimum: 0, "aria-label": "Disk of the spool in use" }), ` ${Math.round(used * 100)} %, ${size(disk.free_bytes)} free`);
}

function bus(link) {
  if (!link) return null;
  const lost = link.dropped ? `, ${link.dropped} dropped` : "";
  return link.reconnects == null ? `in the process${lost}` : `RabbitMQ, ${link.reconnects} reconnects${lost}`;
}
