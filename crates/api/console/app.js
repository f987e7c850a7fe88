// The frame of the console: who is signed in, which page is shown. Each page is a module of its own.
import { get, login, Refused, session } from "./api.js";
import { button, el, failure, say } from "./parts.js";
import * as calls from "./calls.js";
import * as deliveries from "./deliveries.js";
import * as nodes from "./nodes.js";
import * as recording from "./recording.js";
import * as recordings from "./recordings.js";

const PAGES = [["calls", "Live calls", calls], ["recordings", "Recordings", recordings], ["deliveries", "Deliveries", deliveries], ["nodes", "Nodes", nodes]];
const main = document.getElementById("main");
let leaving = new AbortController();
let operator = false;
let accounts = [];

/** Finds out whether a token is needed, and which accounts may be chosen. */
async function enter() {
  try {
    const answer = await get("/v2/accounts");
    operator = true;
    accounts = answer.data;
    if (!accounts.some(({ id }) => id === session.account)) session.set("account", accounts[0]?.id ?? "");
  } catch (error) {
    operator = false;
    accounts = [];
    if (error.status === 401) { session.end(); return signIn(); }
    if (error.status !== 403) return main.replaceChildren(failure(error, enter));
    if (!session.account) return signIn();
  }
  frame();
  show();
}

function frame() {
  const who = document.getElementById("who");
  const parts = [];
  if (operator) {
    const options = accounts.map(({ id, name, realm }) => el("option", { value: id, selected: id === session.account }, name ?? realm ?? id));
    const choose = (event) => { session.set("account", event.target.value); show(); };
    parts.push(el("label", {}, "Account", el("select", { id: "account", onchange: choose }, options)));
  }
  if (session.token) parts.push(button("Sign out", () => { session.end(); location.hash = ""; enter(); }));
  who.replaceChildren(...parts);
}

function show() {
  leaving.abort();
  leaving = new AbortController();
  const [name = "calls", ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const found = PAGES.find(([path]) => path === name) ?? PAGES[0];
  const links = PAGES.filter(([path]) => operator || path !== "nodes");
  document.getElementById("nav").replaceChildren(...links.map(([path, title]) =>
    el("a", { href: `#/${path}`, "aria-current": path === found[0] ? "page" : null }, title)));
  document.title = `${found[1]} – Callreel`;
  const page = found[0] === "recordings" && rest[0] ? recording : found[2];
  const place = el("div");
  main.replaceChildren(place);
  page.show(place, { signal: leaving.signal, operator, rest, expired: signedOut });
}

function signedOut(error) {
  if (!(error instanceof Refused) || error.status !== 401) return false;
  leaving.abort();
  session.end();
  enter().then(() => say("Your token has ended. Sign in again."));
  return true;
}

function signIn() {
  document.getElementById("nav").replaceChildren();
  document.getElementById("who").replaceChildren();
  document.title = "Sign in – Callreel";
  const wrong = el("div", { "aria-live": "assertive" });
  const field = (text, name, more = {}) => el("label", {}, text, el("input", { name, required: true, ...more }));
  const attempt = (work) => async (event) => {
    event.preventDefault();
    wrong.replaceChildren();
    try { await work(Object.fromEntries(new FormData(event.target))); await enter(); }
    catch (error) { wrong.replaceChildren(failure(error)); }
  };
  const byPassword = attempt(async ({ user, password, name }) => {
    const answer = await login(user, password, name);
    session.set("token", answer.auth_token);
    session.set("account", answer.data.account_id);
  });
  const byToken = attempt(async ({ token, account }) => {
    session.set("token", token.trim());
    session.set("account", account.trim());
    try { await get("/v2/accounts"); }
    catch (error) {
      if (error.status !== 403) { session.end(); throw error; }
      if (!account.trim()) { session.set("account", ""); throw new Refused(403, "This token is an account's: give the account's id too."); }
    }
  });
  main.replaceChildren(el("h1", {}, "Sign in"), wrong,
    el("form", { class: "stack", onsubmit: byPassword, "aria-label": "With a password" },
      el("h2", {}, "With a password"), field("User", "user", { autocomplete: "username" }),
      field("Password", "password", { type: "password", autocomplete: "current-password" }),
      field("Name of the account", "name", { autocomplete: "organization" }), el("button", { class: "main" }, "Sign in")),
    el("form", { class: "stack", onsubmit: byToken, "aria-label": "With a token" },
      el("h2", {}, "With a token"), field("Token", "token", { type: "password", autocomplete: "off" }),
      field("Account id (not with the operator’s token)", "account", { required: false, autocomplete: "off" }), el("button", {}, "Sign in with the token")));
}

addEventListener("hashchange", () => { if (operator || session.account) { show(); main.focus(); } });
enter();
