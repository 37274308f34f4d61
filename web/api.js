// Requests to this server, and what went wrong in plain words.
import { $, LABELS } from './dom.js';

/** Where the server is: the page may be served under a path prefix. */
export const BASE = new URL('.', document.baseURI).href;
// A request without an answer ends after this time in milliseconds, plus the time that its body may need.
const SILENCE = 60_000;
// The slowest upload that is waited for, in bytes a millisecond.
const SLOWEST = 20;

/**
 * Why a request has no answer. `state` is a state of the server (see server.js): the same request may succeed later.
 * Without it the request itself is at fault.
 */
export class Failure extends Error {
  constructor(state, words, more = {}) {
    super(words);
    Object.assign(this, { state, ...more });
  }
}

/** The page's own words for each error code of an image. */
const WORDS = {
  unknown_image_format: 'This is not an image of a format that the server reads.',
  unsupported_image: 'The image uses a feature of its format that the server does not read.',
  broken_image: 'The image file is damaged or cut short.',
  too_many_pixels: 'The image has more pixels than the server accepts.',
  too_costly: 'The image would take the server too long to read.',
  empty_image: 'The file is empty.',
  empty_body: 'The file is empty.',
  no_image: 'The file is empty.',
  body_too_large: 'The file is larger than the server accepts.',
  deadline_exceeded: 'The server did not finish this image within its time limit.',
  internal: 'The server failed on this image.',
};
/** Codes and states of the server that are not the image's fault. */
const STATES = {
  rate_limited: 'limit', overloaded: 'busy', not_ready: 'starting', draining: 'draining', wedged: 'silent',
  deadline_exceeded: 'slow', body_timeout: 'slow', internal: 'slow',
};

/** An answer in plain words that is not the expected one. */
function failure(response, body) {
  const { status, headers } = response;
  const more = { status, retryAfter: seconds(headers.get('retry-after')) };
  if (typeof body?.code !== 'string' || typeof body.title !== 'string') {
    // Something between the page and the server answered.
    if (status === 413) return new Failure(undefined, WORDS.body_too_large, { ...more, code: 'body_too_large' });
    if (status === 429) return new Failure('limit', 'Too many requests.', more);
    if (status >= 500) return new Failure('gone', 'A proxy answered that it cannot reach the server.', more);
    return new Failure('front', 'A web page or a proxy answered instead of the server.', more);
  }
  const { code, title, detail = '' } = body;
  Object.assign(more, { code, problem: body });
  if (status === 401) {
    const wrong = (headers.get('www-authenticate') ?? '').includes('invalid_token') && key() !== '';
    return new Failure(wrong ? 'badkey' : 'key', 'The server asks for an API key.', more);
  }
  const words = WORDS[code] ?? (code === 'bad_request' ? `The server does not accept this request: ${detail}.` : `${title} ${detail}`);
  return new Failure(STATES[code] ?? (status === 503 ? 'busy' : undefined), words, more);
}

/** `Retry-After` in seconds; it may be a date. */
function seconds(text) {
  if (!text) return 0;
  const value = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(value) ? Math.max(0, value) : 0;
}

const key = () => $('key').value.trim();
/** The first character of the key that a key cannot have. */
export const badCharacter = () => [...key()].find((c) => !/[\x21-\x7e]/.test(c));
const authorization = () => (key() && !badCharacter() ? { authorization: `Bearer ${key()}` } : {});

/** The path and query that classify an image, with the user's settings. `crops`: the image is a face. */
export function target({ crops, minFace } = {}) {
  if (crops) return 'predict';
  const query = new URLSearchParams();
  for (const [id, name] of [['min-face', 'min_face'], ['score', 'score'], ['max-faces', 'max_faces']]) {
    const value = (name === 'min_face' && minFace) || $(id).value.trim();
    if (value) query.set(name, value);
  }
  return `faces${query.size ? `?${query}` : ''}`;
}

/** Sends a request with the user's key; gives { response, body, took }. The body is parsed, `undefined` if it is no JSON. */
export async function call(path, { ms = 10_000, signal, ...options } = {}) {
  const abort = new AbortController();
  let late = false;
  const stop = () => abort.abort();
  const timer = setTimeout(() => { late = true; stop(); }, ms);
  signal?.addEventListener('abort', stop);
  const began = performance.now();
  try {
    const response = await fetch(new URL(path, BASE), {
      cache: 'no-store', ...options, headers: { ...authorization(), ...options.headers }, signal: abort.signal,
    });
    const text = await response.text();
    let body;
    try { body = JSON.parse(text); } catch { /* the caller sees `undefined` */ }
    if (!response.ok) throw failure(response, body);
    return { response, body, took: performance.now() - began };
  } catch (error) {
    if (error instanceof Failure || signal?.aborted) throw error;
    if (late) throw new Failure('silent', 'The server did not answer in time.');
    if (!navigator.onLine) throw new Failure('offline', 'This device is offline.');
    throw new Failure('gone', 'The server cannot be reached.');
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

const isFace = (face) => typeof face?.confidence === 'number' && LABELS.includes(face.emotion)
  && LABELS.every((label) => typeof face.probabilities?.[label] === 'number');
const isFound = ({ box, ...face }) => isFace(face) && ['x', 'y', 'width', 'height'].every((side) => typeof box?.[side] === 'number');

/** Where the server spent its time, from the Server-Timing header: { decode, detect, queue, infer } in ms. */
function timing(header) {
  return Object.fromEntries([...(header ?? '').matchAll(/([a-z]+);dur=([0-9.]+)/g)].map(([, name, ms]) => [name, Number(ms)]));
}

/**
 * Classifies one image: { answer, faces, width, height, took, times, target }. The faces of a crop have no box.
 * Throws a `Failure`; when `signal` aborts, an `AbortError`.
 */
export async function ask(blob, { signal, ...options } = {}) {
  const path = target(options);
  let result;
  try {
    const ms = SILENCE + blob.size / SLOWEST;
    const headers = { 'content-type': 'application/octet-stream' };
    result = await call(path, { method: 'POST', headers, body: blob, signal, ms });
  } catch (error) {
    // A file that was moved or changed looks like a lost connection.
    if (error.state === 'gone' && !(await readable(blob))) {
      throw new Failure(undefined, 'The file can no longer be read. Was it moved, changed or is it a folder?');
    }
    throw error;
  }
  const { response, body: answer, took } = result;
  const right = options.crops
    ? isFace(answer)
    : answer?.width > 0 && answer.height > 0 && Array.isArray(answer.faces) && answer.faces.every((face) => face && isFound(face));
  if (!right) {
    const words = answer === undefined
      ? 'What answered is not fer-serve: it sent a web page or nothing instead of an answer.'
      : 'The answer lacks parts that this page needs. Are the page and the server of the same version?';
    throw new Failure('front', words, { foreign: true });
  }
  const times = timing(response.headers.get('server-timing'));
  const { width, height } = answer;
  return { answer, faces: options.crops ? [answer] : answer.faces, width, height, took, times, target: path };
}

const readable = (blob) => blob.slice(0, 1).arrayBuffer().then(() => true, () => false);
