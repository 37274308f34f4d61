// The images that are to be classified. An image leaves the queue with an answer, with an error of its own, or when the
// user removes it; nothing that happens to the server or to the network takes it out.
import { ask } from './api.js';
import { redraw, unreadable } from './redraw.js';
import { failed, isReady, onState, server, showPill, succeeded } from './server.js';

// Requests under way at one time; the server's own queue does the rest.
const IN_FLIGHT = 4;
// An image that has failed this often for the server's sake, while others succeeded, is at fault itself.
const TRIES = 5;
// Longest side in pixels of an image that is drawn again because it is too large: one try after the other.
const SIDES = [4096, 2048, 1024];
const TOO_LARGE = ['body_too_large', 'too_many_pixels', 'too_costly'];
const NOT_READ = ['unknown_image_format', 'unsupported_image'];

let waiting = [];
const underWay = new Set();
let paused = false;
// After a failure one request goes first.
let careful = false;
let answered = 0;
let changed = () => {};
/** Time during which the queue worked, in milliseconds. */
export const busy = { total: 0, since: 0 };

server.waiting = () => waiting.length + underWay.size;
server.paused = () => paused;
export const isPaused = () => paused;

/** `listener(item)` is called after each change of an item's `state`: waiting, sending, done or failed. */
export const onItem = (listener) => { changed = listener; };

function set(item, state, more = {}) {
  Object.assign(item, { state }, more);
  changed(item);
}

/** Puts images in: { file, options }. Those that are in are asked again. */
export function enqueue(items) {
  for (const item of items) {
    item.abort?.abort();
    underWay.delete(item);
    Object.assign(item, { result: undefined, error: undefined, tries: 0, mark: 0 });
    set(item, 'waiting');
  }
  const again = new Set(items);
  waiting = [...waiting.filter((item) => !again.has(item)), ...items];
  work();
}

/** Takes images out; what is under way is aborted. */
export function dequeue(items) {
  const gone = new Set(items);
  waiting = waiting.filter((item) => !gone.has(item));
  for (const item of items) {
    item.abort?.abort();
    underWay.delete(item);
  }
  showPill();
  work();
}

export function setPaused(value) {
  paused = value;
  showPill();
  work();
}

function work() {
  const most = careful ? 1 : IN_FLIGHT;
  while (!paused && isReady() && underWay.size < most && waiting.length) process(waiting.shift());
  if (!busy.since && underWay.size) busy.since = performance.now();
  if (busy.since && !underWay.size) {
    busy.total += performance.now() - busy.since;
    busy.since = 0;
  }
}

async function process(item) {
  underWay.add(item);
  const abort = new AbortController();
  item.abort = abort;
  set(item, 'sending');
  try {
    const result = await classify(item, abort.signal);
    if (item.abort !== abort || abort.signal.aborted) return;
    answered += 1;
    careful = false;
    succeeded(result);
    underWay.delete(item);
    set(item, 'done', { result });
  } catch (error) {
    if (item.abort !== abort || abort.signal.aborted) return;
    underWay.delete(item);
    if (error.state && !isPoison(item, error)) {
      careful = true;
      set(item, 'waiting', { reason: error.message });
      waiting.push(item);
      failed(error);
    } else {
      set(item, 'failed', { error: { words: error.message, problem: error.problem } });
      // The server answered; only a lost connection says nothing about it.
      if (error.state) failed(error);
      else succeeded();
    }
  } finally {
    showPill();
    work();
  }
}

/** Whether it is this image that the server cannot answer: others were answered between its failures. */
function isPoison(item, { state }) {
  if (['limit', 'busy', 'key', 'badkey', 'starting', 'draining', 'offline'].includes(state)) return false;
  const alone = !waiting.length && !underWay.size;
  if (answered > item.mark || (alone && ['slow', 'front'].includes(state))) item.tries += 1;
  item.mark = answered;
  return item.tries >= TRIES;
}

/** Asks; an image that the server does not read or that is too large is drawn again by the browser. */
async function classify(item, signal) {
  const options = { ...item.options, signal };
  const sides = [...SIDES];
  item.sent ??= unreadable(item.file) ? await redraw(item.file, sides[0]) : undefined;
  for (;;) {
    try {
      return await ask(item.sent?.blob ?? item.file, options);
    } catch (error) {
      const again = TOO_LARGE.includes(error.code) || (NOT_READ.includes(error.code) && !item.sent);
      const side = again && sides.find((one) => one < (item.sent?.side ?? Infinity));
      const drawn = side && await redraw(item.file, side);
      if (!drawn || signal.aborted) throw error;
      item.sent = drawn;
    }
  }
}

onState(work);
