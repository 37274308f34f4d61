// Asking the server for faces, and showing what it answers.

export const LABELS = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
const SVG = 'http://www.w3.org/2000/svg';

export const $ = (id) => document.getElementById(id);
export const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const percent = (p) => `${(100 * p).toFixed(1)} %`;
export const millis = (ms) => (ms === undefined ? '–' : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`);

/** An element with attributes and children (text or elements); nothing is ever parsed as HTML. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
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

export function drawBoxes(svg, answer) {
  svg.setAttribute('viewBox', `0 0 ${answer.width} ${answer.height}`);
  const side = Math.max(answer.width, answer.height);
  // Among many faces a label would hide the next one.
  const crowd = answer.faces.length > 8;
  svg.replaceChildren(...answer.faces.flatMap((face, n) => {
    const { x, y, width, height } = face.box;
    const rect = (css) => {
      const r = document.createElementNS(SVG, 'rect');
      for (const [k, v] of Object.entries({ x, y, width, height, class: css })) r.setAttribute(k, v);
      return r;
    };
    const size = Math.min(side / 30, Math.max(side / 55, width / 3));
    const late = x > 0.75 * answer.width;
    const text = document.createElementNS(SVG, 'text');
    text.setAttribute('x', late ? x + width : x);
    text.setAttribute('y', Math.max(size, y - size * 0.3));
    text.setAttribute('font-size', size);
    text.setAttribute('text-anchor', late ? 'end' : 'start');
    text.textContent = crowd ? `${n + 1}` : `${n + 1} ${face.emotion}`;
    return [rect('edge'), rect('line'), text];
  }));
}

/** One face: heading and seven bars. */
function faceItem() {
  const heading = make('h4');
  const list = make('dl', { class: 'bars' });
  const rows = LABELS.map((label) => {
    const name = make('dt', {}, label);
    const fill = make('span');
    const value = make('dd', { class: 'value' });
    list.append(name, make('dd', { class: 'track', 'aria-hidden': 'true' }, fill), value);
    return { label, name, fill, value };
  });
  const item = make('li', {}, heading, list);
  const update = (face, n) => {
    heading.textContent = `Face ${n + 1}: ${face.emotion}, ${percent(face.confidence)}`;
    for (const row of rows) {
      const p = face.probabilities[row.label];
      row.fill.style.width = `${100 * p}%`;
      row.value.textContent = percent(p);
      for (const part of [row.name, row.value]) part.classList.toggle('top', row.label === face.emotion);
    }
  };
  return { item, update };
}

/** Fills a list with the faces, reusing what stands there. */
export function faceList(list) {
  const items = [];
  return (faces) => {
    while (items.length < faces.length) items.push(faceItem());
    faces.forEach((face, n) => items[n].update(face, n));
    list.replaceChildren(...items.slice(0, faces.length).map((i) => i.item));
  };
}

export const counted = (n, one, many) => `${n} ${n === 1 ? one : many}`;
export const facesIn = (answer) => (answer.faces.length ? counted(answer.faces.length, 'face', 'faces') : 'no face');

export function describe({ took, times }) {
  const parts = [['decode', 'decoding'], ['detect', 'finding faces'], ['queue', 'waiting'], ['infer', 'network']]
    .filter(([key]) => times[key] !== undefined)
    .map(([key, name]) => `${name} ${millis(times[key])}`);
  return `${millis(took)} in all${parts.length ? `: ${parts.join(', ')}` : ''}`;
}
