// The server, asked. Answers are JSON; a refusal brings the server's own sentence.

/** What the server does not carry out, in its words. */
export class Refusal extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** No answer at all. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

const PATIENCE = 3;
const BUSY = [429, 503];

/** @type {() => Promise<void>} */
let askForKey = () => Promise.reject(new Refusal(401, "missing_key", "This server wants a key."));
/** Who to turn to when a key is needed; resolves once the server took one. @param {() => Promise<void>} ask */
export const onKeyNeeded = (ask) => (askForKey = ask);

const pause = (/** @type {number} */ seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

/**
 * The server's answer. Waits and tries again while the server is busy. Raises Refusal, Unreachable, or what the signal
 * was aborted with.
 * @param {string} method
 * @param {string} path
 * @param {{body?: any, files?: [string, Blob, string][], signal?: AbortSignal}} [content]
 *   files: field, content and file name; with them, the body travels as the field "request"
 */
export async function ask(method, path, { body, files = [], signal } = {}) {
  for (let attempt = 1; ; attempt++) {
    const response = await send(method, path, body, files, signal);
    if (response.ok) return response.status === 204 ? null : response.json();
    const refusal = await refusalOf(response);
    if (response.status === 401 && path !== "/v1/session") await askForKey();
    else if (!BUSY.includes(response.status) || attempt >= PATIENCE) throw refusal;
    else await pause(Math.min(5, Number(response.headers.get("Retry-After")) || 1));
    signal?.throwIfAborted();
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {any} body
 * @param {[string, Blob, string][]} files
 * @param {AbortSignal} [signal]
 */
async function send(method, path, body, files, signal) {
  /** @type {RequestInit} */
  const request = { method, signal, credentials: "same-origin" };
  if (files.length) {
    request.body = new FormData();
    request.body.append("request", JSON.stringify(body));
    for (const [field, content, name] of files) request.body.append(field, content, name);
  } else if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { "Content-Type": "application/json" };
  }
  try {
    return await fetch(path, request);
  } catch (error) {
    signal?.throwIfAborted();
    throw new Unreachable();
  }
}

/** @param {Response} response */
async function refusalOf(response) {
  const { error } = await response.json().catch(() => ({}));
  return new Refusal(response.status, error?.code ?? "", error?.message ?? `The server answered ${response.status}.`);
}
