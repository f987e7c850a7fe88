// Requests to the HTTP API, and who makes them. The token is kept in this tab only.

const kept = (key) => sessionStorage.getItem(`callreel.${key}`) ?? "";
export const session = {
  get token() { return kept("token"); },
  get account() { return kept("account"); },
  set(key, value) { value ? sessionStorage.setItem(`callreel.${key}`, value) : sessionStorage.removeItem(`callreel.${key}`); },
  end() { this.set("token", ""); this.set("account", ""); },
};

export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

const headers = () => (session.token ? { "X-Auth-Token": session.token } : {});

async function refusal(answer) {
  const body = await answer.json().catch(() => ({}));
  return new Refused(answer.status, body.data?.message ?? `The node answered ${answer.status}.`);
}

/** The answer's whole envelope. */
export async function ask(method, path, { data, signal } = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method, signal,
      headers: data ? { ...headers(), "Content-Type": "application/json" } : headers(),
      body: data && JSON.stringify({ data }),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The node does not answer. Is it running, and is this machine still connected?");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer.json();
}

export const get = (path, signal) => ask("GET", path, { signal });
export const own = (rest) => `/v2/accounts/${encodeURIComponent(session.account)}/${rest}`;

/** A file, asked for with the token in a header: in an address it would end up in logs. */
export async function file(path, signal) {
  const answer = await fetch(path, { headers: { ...headers(), Accept: "audio/*" }, signal });
  if (!answer.ok) throw await refusal(answer);
  return answer.blob();
}

/** Asks again and again, every two seconds, more slowly while it fails; until the page is left. */
export function poll(signal, every, work) {
  let wait = every;
  const turn = async () => {
    if (signal.aborted) return;
    if (!document.hidden) wait = (await work()) ? every : Math.min(wait * 2, 30000);
    if (!signal.aborted) setTimeout(turn, wait);
  };
  turn();
}

/** Crossbar takes the SHA-1 of user and password. Browsers compute it on https and on this machine only. */
export async function login(user, password, accountName) {
  if (!crypto.subtle) throw new Refused(0, "Browsers log in over https only. Put TLS before the API, or use a token.");
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(`${user}:${password}`));
  const credentials = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return ask("PUT", "/v2/user_auth", { data: { credentials, method: "sha", account_name: accountName } });
}
