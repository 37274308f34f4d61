// The state of the server: what the pill in the header says, and when requests may be sent again.
import { Failure, badCharacter, call } from './api.js';
import { $, counted, millis, say, setText } from './dom.js';

// Between two probes of a server at rest, in milliseconds.
const REST = 10_000;
// The longest time between two probes of a server that does not work, in milliseconds.
const LONGEST = 15_000;

const WORDS = {
  asking: 'Connecting to the server …',
  starting: 'The server is starting',
  draining: 'The server is restarting',
  busy: 'The server is busy',
  slow: 'The server was too slow',
  limit: 'Rate limit reached',
  silent: 'The server does not answer',
  gone: 'The server cannot be reached',
  offline: 'This device is offline',
  front: 'Something answers instead of the server. Sign in?',
  key: 'The server needs an API key: see Settings',
  badkey: 'The server does not know this API key',
};

/** `name` is a key of `WORDS`, or `ready`; `took` is the time of the last answer, in milliseconds. */
export const server = { name: 'asking', model: undefined, waiting: () => 0, paused: () => false };
const listeners = [];
let failures = 0;
let until = 0;
let timer;
let probing = false;

/** `listener` is called after each change of the state. */
export const onState = (listener) => listeners.push(listener);
export const isReady = () => server.name === 'ready';

function set(name) {
  const changed = server.name !== name;
  server.name = name;
  showPill();
  if (!changed) return;
  // Short waits are no news.
  if (!['busy', 'limit', 'asking'].includes(name)) say($('pill').textContent);
  for (const listener of listeners) listener();
}

export function showPill() {
  const pill = $('pill');
  const n = server.waiting();
  let words = WORDS[server.name];
  if (isReady()) {
    const { name, version, precision, device } = server.model;
    words = `Ready · ${name} v${version} · ${precision} on ${device.toUpperCase()}${server.took ? ` · ${millis(server.took)}` : ''}`;
  } else if (server.name === 'badkey' && badCharacter()) {
    words = `An API key cannot have the character “${badCharacter()}”`;
  }
  if (server.paused()) words = `Paused · ${counted(n, 'image')} ${n === 1 ? 'waits' : 'wait'}`;
  else if (!isReady() && n) {
    const again = until - Date.now() > 2500 && server.retryAfter ? ` · goes on at ${new Date(until).toLocaleTimeString()}` : '';
    words += ` · ${counted(n, 'image')} ${n === 1 ? 'waits' : 'wait'}, nothing is lost${again}`;
  }
  setText(pill, words);
  pill.dataset.state = server.paused() ? 'paused' : server.name;
}

/** A request failed for the server's sake: no more of them until a probe says ready. */
export function failed({ state, retryAfter = 0 }) {
  // Several requests in flight fail for one reason.
  if (isReady() || probing) failures += 1;
  const backoff = Math.min(LONGEST, 500 * 2 ** Math.min(failures, 6));
  // Without Retry-After, clients that failed together must not come back together.
  const delay = retryAfter ? 1000 * retryAfter : backoff * (0.75 + Math.random() / 2);
  server.retryAfter = retryAfter;
  until = Math.max(isReady() ? 0 : until, Date.now() + delay);
  plan(until - Date.now());
  set(state);
}

/** A request succeeded: { answer, took }. Its answer names the model, which may have been replaced. */
export function succeeded({ answer, took } = {}) {
  failures = 0;
  if (took) server.took = took;
  const { name, version } = answer?.model ?? {};
  if (!name || !server.model || (name === server.model.name && version === server.model.version)) return;
  server.model = { ...server.model, name, version };
  askModel().then(showPill, () => {});
}

function plan(ms) {
  clearTimeout(timer);
  timer = setTimeout(probe, ms);
}

/** Asks whether the server is ready, and for its model where that may have changed. */
export async function probe() {
  if (probing) return;
  probing = true;
  clearTimeout(timer);
  const was = server.name;
  try {
    if (badCharacter()) throw new Failure('badkey');
    const { body } = await call('readyz');
    if (body?.status !== 'ready') throw new Failure('front');
    if (!server.model || !['ready', 'busy', 'limit', 'slow'].includes(was)) await askModel();
    until = 0;
    set('ready');
    plan(REST);
  } catch (error) {
    failed(error instanceof Failure && error.state ? error : new Failure('front'));
  } finally {
    probing = false;
  }
}

async function askModel() {
  try {
    const { body } = await call('model');
    if (typeof body?.name !== 'string' || typeof body.device !== 'string') throw new Failure('front');
    server.model = body;
  } catch (error) {
    // The rate limit does not say that the server is not ready.
    if (error.state !== 'limit' || !server.model) throw error;
  }
}

/** Asks again at once: the key, the network or the window has changed. */
export function probeNow() {
  failures = 0;
  until = 0;
  return probe();
}

export function watchServer() {
  $('key').addEventListener('change', () => {
    server.model = undefined;
    server.name = 'asking';
    probeNow();
  });
  addEventListener('online', probeNow);
  addEventListener('offline', () => failed(new Failure('offline')));
  document.addEventListener('visibilitychange', () => { if (!document.hidden && !server.retryAfter) probeNow(); });
  return probe();
}
