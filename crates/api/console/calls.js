// Live calls: an account's channels, and what may be done with the recording of each.
import { ask, get, own, poll } from "./api.js";
import { button, el, empty, failure, say, span, table } from "./parts.js";

const COLUMNS = [["From", ""], ["To", ""], ["Direction", ""], ["State", ""], ["Flow", ""], ["For", "n"], ["Recording", ""]];
const ACTS = [["start", "Record"], ["stop", "Stop"], ["mask", "Mask"], ["unmask", "Unmask"]];

export function show(place, { signal, expired }) {
  const body = el("div", {}, el("p", { class: "note" }, "Loading…"));
  place.append(el("h1", {}, "Live calls"), body);
  const load = async () => {
    try {
      const { data } = await get(own("channels"), signal);
      const held = document.activeElement?.dataset?.act;
      body.replaceChildren(data.length ? table("Live calls", COLUMNS, data.map((channel) => row(channel, load))) : empty("No calls at the moment. New ones appear here by themselves."));
      // Who presses keys keeps his place although the table is new.
      if (held) body.querySelector(`[data-act="${CSS.escape(held)}"]`)?.focus();
      return true;
    } catch (error) {
      if (signal.aborted || expired(error)) return false;
      body.replaceChildren(failure(error, load));
      return false;
    }
  };
  poll(signal, 2000, load);
}

function row(channel, load) {
  const state = channel.is_onhold ? "on hold" : channel.answered ? "talking" : "ringing";
  const from = channel.caller_id_name ? `${channel.caller_id_name} (${channel.caller_id_number ?? "?"})` : channel.caller_id_number;
  const act = async (action) => {
    try {
      const path = own(`channels/${encodeURIComponent(channel.uuid)}`);
      const { data } = await ask("PUT", path, { data: { module: "record_call", data: { action } } });
      say(data.message ?? `Done: ${data.recordings.map((one) => one.state).join(", ")}.`);
    } catch (error) { say(error.message); }
    load();
  };
  const buttons = ACTS.map(([action, text]) => button(text, () => act(action), { "data-act": `${action} ${channel.uuid}`, "aria-label": `${text}: call of ${from ?? channel.uuid}` }));
  return [from, channel.callee_id_number ?? channel.destination, channel.direction, state, flow(channel), span(channel.elapsed_s),
    el("span", {}, (channel.recordings ?? []).map(recording), el("span", { class: "acts" }, buttons))];
}

/** Where the call stands in its callflow. */
function flow({ flow: at }) {
  return at ? el("span", {}, el("b", {}, at.module), ` at ${at.pointer}, waits for ${at.waiting_for}`) : null;
}

const recording = ({ state, name, source }) => el("p", { class: `tag ${state === "recording" ? "bad" : "warn"}` }, `${state}: ${name ?? source.replaceAll("_", " ")}`);
