// One recording: what it sounds like, what is known of it, and what may be done with it.
import { ask, file, get, own } from "./api.js";
import { button, el, facts, failure, reason, say, size, span, time } from "./parts.js";
import { draw, heights } from "./wave.js";

/** Longer recordings get no picture: a browser would have to decode them whole. */
const LONGEST_DRAWN_MS = 20 * 60 * 1000;
const SEEK_S = 5;

export async function show(place, context) {
  const [id] = context.rest;
  const path = own(`recordings/${encodeURIComponent(id)}`);
  place.append(el("p", {}, el("a", { href: "#/recordings" }, "← All recordings")), el("h1", {}, "Recording"));
  const body = el("div", {}, el("p", { class: "note" }, "Loading…"));
  place.append(body);
  try {
    const { data } = await get(path, context.signal);
    body.replaceChildren(player(data, path, context), el("h2", {}, "What is known of it"), about(data), el("h2", {}, "Evidence"), orders(data, path));
  } catch (error) {
    if (!context.signal.aborted && !context.expired(error)) body.replaceChildren(failure(error));
  }
}

function about(doc) {
  const gaps = Object.entries(doc.gap_report ?? {}).map(([leg, audio]) => `${leg}: ${audio.lost} of ${audio.packets}`);
  return facts([
    ["Began", time(doc._read_only?.start_unix)], ["Length", span((doc.duration_ms ?? 0) / 1000)], ["From", doc.caller_id_number ?? doc.from],
    ["To", doc.callee_id_number ?? doc.to], ["Direction", doc.direction], ["Owner", doc.owner_id], ["Call", doc.call_id], ["File", doc.name],
    ["Why", doc.origin], ["Ended by", doc.completion_cause], ["Channels", doc.channels], ["Masked", spans(doc.masked_ms)], ["Lost packets", gaps.join(", ")],
    ["SHA-256", doc.sha256], ["Sealed to", doc.sealed_to], ["Legal hold", doc.hold && `${doc.hold.reason ?? ""} (${doc.hold.by ?? "?"})`], ["Id", doc.id],
  ]);
}

const spans = (all) => all?.map(([from, until]) => `${span(from / 1000)}–${until == null ? "end" : span(until / 1000)}`).join(", ");

function orders(doc, path) {
  const act = async (title, verb, work, after) => {
    const why = await reason(title, verb);
    if (!why) return;
    try { await work(why); say("Done."); after(); } catch (error) { say(error.message); }
  };
  const again = () => dispatchEvent(new HashChangeEvent("hashchange"));
  const hold = doc.hold
    ? button("Lift the legal hold…", () => act("Lift the legal hold", "Lift it", (why) => ask("DELETE", `${path}/hold`, { data: { reason: why } }), again))
    : button("Put a legal hold on it…", () => act("Put a legal hold on it", "Hold it", (why) => ask("PUT", `${path}/hold`, { data: { reason: why } }), again));
  const remove = button("Delete…", () => act("Delete this recording", "Delete it", (why) => ask("DELETE", path, { data: { reason: why } }), () => { location.hash = "#/recordings"; }), { class: "risky", disabled: Boolean(doc.hold) });
  return el("div", { class: "acts" }, hold, remove, doc.hold ? el("span", { class: "note" }, "While it is held, nobody and nothing removes it.") : null);
}

function player(doc, path, { signal }) {
  const type = doc._read_only?.content_types?.[0] ?? "";
  if (doc.sealed_to) return el("p", { class: "empty" }, "This recording was sealed for its receiver (age). Nobody can play it here: download it, and open it with the key.", download(doc, path));
  if (!type.startsWith("audio/")) return el("p", { class: "empty" }, "No audio is kept here; it was sent to the address of its delivery.");
  const canvas = el("canvas", { class: "wave", tabindex: 0, role: "slider", "aria-label": "Place in the recording", "aria-valuemin": 0, "aria-valuemax": Math.round((doc.duration_ms ?? 0) / 1000), "aria-valuenow": 0, "aria-valuetext": "0:00" });
  const audio = el("audio", { controls: true });
  const note = el("p", { class: "note" }, "Fetching the audio…");
  const gains = [];
  const wire = once(() => {
    const context = new AudioContext();
    const splitter = context.createChannelSplitter(2);
    context.createMediaElementSource(audio).connect(splitter);
    for (const channel of [0, 1]) {
      gains[channel] = context.createGain();
      splitter.connect(gains[channel], channel).connect(context.destination);
    }
    return context;
  });
  const solo = [["Both", 1, 1], ["Only the recorded party", 1, 0], ["Only the other party", 0, 1]].map(([text, left, right]) =>
    button(text, (event) => {
      wire().resume();
      [gains[0].gain.value, gains[1].gain.value] = [left, right];
      for (const one of solo) one.setAttribute("aria-pressed", String(one === event.target));
    }, { "aria-pressed": String(left + right === 2) }));
  const speed = el("select", { onchange: (event) => { audio.playbackRate = Number(event.target.value); } },
    [0.5, 0.75, 1, 1.25, 1.5, 2, 3].map((rate) => el("option", { value: rate, selected: rate === 1 }, `${rate}×`)));
  let picture;
  const paint = () => {
    const length = audio.duration || (doc.duration_ms ?? 0) / 1000;
    canvas.setAttribute("aria-valuenow", Math.round(audio.currentTime));
    canvas.setAttribute("aria-valuetext", span(audio.currentTime));
    draw(canvas, { picture, length, at: audio.currentTime, masked: doc.masked_ms ?? [], gaps: gaps(doc) });
  };
  const seek = (to) => { audio.currentTime = Math.min(Math.max(0, to), audio.duration || 0); };
  canvas.addEventListener("click", (event) => seek((event.offsetX / canvas.clientWidth) * (audio.duration || 0)));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -SEEK_S, ArrowRight: SEEK_S, PageDown: -60, PageUp: 60 }[event.key];
    if (step) seek(audio.currentTime + step);
    else if (event.key === "Home") seek(0);
    else if (event.key === "End") seek(audio.duration);
    else if (event.key === " ") audio.paused ? audio.play() : audio.pause();
    else return;
    event.preventDefault();
  });
  for (const name of ["timeupdate", "seeked", "loadedmetadata"]) audio.addEventListener(name, paint);
  addEventListener("resize", paint, { signal });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint, { signal });
  signal.addEventListener("abort", () => { audio.pause(); URL.revokeObjectURL(audio.src); });
  file(path, signal).then(async (blob) => {
    audio.src = URL.createObjectURL(blob);
    note.textContent = `${size(blob.size)}, ${type}. On the picture: arrow keys go 5 seconds, Page keys a minute, Space plays and pauses.`;
    if (doc.duration_ms <= LONGEST_DRAWN_MS) picture = await heights(blob);
    else note.textContent += " It is too long to be drawn here.";
    paint();
  }).catch((error) => { if (!signal.aborted) note.replaceChildren(failure(error)); });
  requestAnimationFrame(paint);
  return el("section", { "aria-label": "Player" }, canvas, legend(doc), audio,
    el("div", { class: "acts" }, el("label", {}, "Speed", speed), doc.channels === 2 ? solo : null, download(doc, path)), note);
}

const legend = (doc) => el("p", { class: "note" }, doc.channels === 2 ? "Above: the recorded party. Below: the other one. " : "", doc.masked_ms?.length ? "Grey: masked. " : "", gaps(doc).length ? "Red: packets are missing." : "");

/** Where packets are missing: from, until, and the lane on the picture; none in a file whose legs are mixed. */
function gaps(doc) {
  const lanes = { left: 0, right: 1 };
  return Object.entries(doc.gap_report ?? {}).flatMap(([leg, audio]) => (audio.gaps_ms ?? []).map(([from, until]) => [from, until, lanes[doc.legs?.[leg]?.channel]]));
}

function download(doc, path) {
  return button("Download", async () => {
    try {
      const link = el("a", { href: URL.createObjectURL(await file(path)), download: doc.name ?? doc.id });
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (error) { say(error.message); }
  });
}

function once(make) {
  let made;
  return () => (made ??= make());
}
