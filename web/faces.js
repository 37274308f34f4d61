// Asking the server for faces, and showing what it answers.

export const LABELS = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
// With more faces than this the boxes bear numbers only: words would hide the next face.
const CROWD = 8;
// Side of a face's small picture, in pixels.
const THUMB = 96;

export const $ = (id) => document.getElementById(id);
export const wait = (ms) => new Promise((done) => setTimeout(done, ms));
export const percent = (p) => `${(100 * p).toFixed(1)}\u00a0%`;
export const millis = (ms) => (ms === undefined ? '–' : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`);
export const counted = (n, one, many) => `${n} ${n === 1 ? one : many}`;
export const facesIn = (answer) => (answer.faces.length ? counted(answer.faces.length, 'face', 'faces') : 'no face');

/** An element with attributes and children (text or elements); nothing is ever parsed as HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** What a screen reader says next. */
export function say(text) {
  $('status').textContent = text;
}

// ── asking the server ──────────────────────────────────────────────────────────────────────────────────

export function settings() {
  const query = new URLSearchParams();
  for (const [id, name] of [['min-face', 'min_face'], ['score', 'score'], ['max-faces', 'max_faces']]) {
    const value = $(id).value.trim();
    if (value !== '') query.set(name, value);
  }
  const key = $('key').value;
  return { query: query.size ? `?${query}` : '', headers: key ? { authorization: `Bearer ${key}` } : {} };
}

/** Where the server spent its time, from the Server-Timing header: { decode, detect, queue, infer } in ms. */
function timing(header) {
  const times = {};
  for (const part of (header ?? '').split(',')) {
    const found = /^\s*([a-z]+);dur=([0-9.]+)/.exec(part);
    if (found) times[found[1]] = Number(found[2]);
  }
  return times;
}

class Refused extends Error {
  constructor(status, problem, retryAfter) {
    super(problem?.detail ? `${problem.title} ${problem.detail}` : `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** Sends one picture; gives { answer, took, times }. */
export async function ask(blob, signal) {
  const { query, headers } = settings();
  const began = performance.now();
  let response;
  try {
    response = await fetch(`/faces${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream', ...headers },
      body: blob,
      signal,
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The server cannot be reached.');
  }
  const body = await response.json().catch(() => undefined);
  if (!response.ok) throw new Refused(response.status, body, Number(response.headers.get('retry-after')));
  const times = timing(response.headers.get('server-timing'));
  return { answer: body, took: performance.now() - began, times };
}

// ── showing an answer ──────────────────────────────────────────────────────────────────────────────────

const share = (part, whole) => `${((100 * part) / whole).toFixed(3)}%`;

/** Lays the boxes over the picture. */
export function drawBoxes(layer, answer) {
  const crowd = answer.faces.length > CROWD;
  layer.replaceChildren(...answer.faces.map((face, n) => {
    const { x, y, width, height } = face.box;
    const label = make('span', {}, crowd ? `${n + 1}` : `${n + 1} ${face.emotion}`);
    const box = make('div', { class: `box tone-${face.emotion}` }, label);
    box.classList.toggle('low', y < 0.08 * answer.height);
    box.classList.toggle('late', x > 0.75 * answer.width);
    Object.assign(box.style, {
      left: share(x, answer.width),
      top: share(y, answer.height),
      width: share(width, answer.width),
      height: share(height, answer.height),
    });
    return box;
  }));
}

/** One face: its picture, heading and seven bars. */
function faceItem() {
  const canvas = make('canvas', { width: THUMB, height: THUMB, 'aria-hidden': 'true' });
  canvas.hidden = true;
  const heading = make('h4');
  const list = make('dl', { class: 'bars' });
  const rows = LABELS.map((label) => {
    const name = make('dt', {}, label);
    const fill = make('span', { class: `tone-${label}` });
    const value = make('dd', { class: 'value' });
    list.append(name, make('dd', { class: 'track', 'aria-hidden': 'true' }, fill), value);
    return { label, name, fill, value };
  });
  const item = make('li', {}, make('div', { class: 'who' }, canvas, heading), list);
  const update = (face, n, image) => {
    heading.textContent = `Face ${n + 1}: ${face.emotion}, ${percent(face.confidence)}`;
    for (const row of rows) {
      const p = face.probabilities[row.label];
      row.fill.style.width = `${100 * p}%`;
      row.value.textContent = percent(p);
      for (const part of [row.name, row.value]) part.classList.toggle('top', row.label === face.emotion);
    }
    if (image?.complete && image.naturalWidth) {
      const { x, y, width, height } = face.box;
      canvas.getContext('2d').drawImage(image, x, y, width, height, 0, 0, THUMB, THUMB);
      canvas.hidden = false;
    }
  };
  return { item, update };
}

/** Fills a list with the faces, reusing what stands there; cuts their pictures out of `image`. */
export function faceList(list, image) {
  const items = [];
  return (faces) => {
    while (items.length < faces.length) items.push(faceItem());
    faces.forEach((face, n) => items[n].update(face, n, image));
    const shown = items.slice(0, faces.length).map((i) => i.item);
    // Moving elements that are in place already would end their transitions.
    if (list.children.length !== shown.length) list.replaceChildren(...shown);
  };
}

/** Pointing at a face in the list lights its box. */
export function linkBoxes(list, layer) {
  const light = (on) => (event) => {
    const item = event.target.closest('li');
    const box = item && layer.children[[...list.children].indexOf(item)];
    box?.classList.toggle('lit', on);
  };
  list.addEventListener('pointerover', light(true));
  list.addEventListener('pointerout', light(false));
}

/** How many faces have which label, most frequent first. */
export function tally(faces) {
  const counts = LABELS.map((label) => [label, faces.filter((f) => f.emotion === label).length]);
  return counts.filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
}

/** Labels with their colours and numbers. */
export function chips(entries) {
  return make('ul', { class: 'chips' }, ...entries.map(([label, n]) => make('li', { class: `tone-${label}` }, `${label} ${n}`)));
}

/** A bar made of parts; for the eye, what it shows stands in words beside it. */
export function strip(entries) {
  return make('div', { class: 'strip', 'aria-hidden': 'true' }, ...entries.map(([name, n]) => {
    const part = make('span', { class: `tone-${name}` });
    part.style.flexGrow = n;
    return part;
  }));
}

const STEPS = [['decode', 'decoding'], ['detect', 'finding faces'], ['queue', 'waiting'], ['infer', 'network']];

/** The times in words, each with the colour that it has in the bar. */
export function describe({ took, times }) {
  const parts = STEPS.filter(([key]) => times[key] !== undefined);
  const words = parts.flatMap(([key, name], n) => [
    n ? ', ' : ': ',
    make('span', { class: `dot tone-${key}` }, `${name} ${millis(times[key])}`),
  ]);
  return [`${millis(took)} in all`, ...words, '.'];
}

/** The times as a bar; the rest is transfer. */
export function timeStrip({ took, times }) {
  const known = STEPS.map(([key]) => [key, times[key] ?? 0]);
  const rest = Math.max(0, took - known.reduce((sum, [, ms]) => sum + ms, 0));
  return strip([...known, ['rest', rest]].filter(([, ms]) => ms > 0));
}
