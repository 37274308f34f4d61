// Small helpers: elements, numbers as text, the status line.

export const LABELS = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
/** Below this probability of the likeliest label the page says "unsure". */
export const SURE = 0.5;

export const $ = (id) => document.getElementById(id);
export const wait = (ms) => new Promise((done) => setTimeout(done, ms));
export const percent = (p, digits = 1) => `${(100 * p).toFixed(digits)}\u00a0%`;
export const millis = (ms) => `${ms.toFixed(ms < 10 ? 1 : 0)}\u00a0ms`;
export const counted = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/**
 * An element with attributes and children (text or elements); nothing is ever parsed as HTML. A function as attribute
 * is a listener, `false` and `undefined` leave the attribute out.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

export const button = (text, onclick, more = {}) => make('button', { type: 'button', onclick, ...more }, text);

/** Whether the style sheet lays the page out for a narrow screen: the stage stands above the list. */
export const isPhone = () => matchMedia('(max-width: 52rem)').matches;

/** What a screen reader says next. */
export function say(text) {
  $('status').textContent = text;
}

// Least time between two runs of one task of `soon`, in milliseconds.
const PAUSE = 100;

/** Runs `task` before a frame soon, once for any number of calls; thousands of answers need not be drawn one by one. */
export function soon(task) {
  let planned = false;
  let last = -PAUSE;
  const run = () => {
    planned = false;
    last = performance.now();
    task();
  };
  return () => {
    if (planned) return;
    planned = true;
    const left = PAUSE - (performance.now() - last);
    // A hidden page draws no frames, but its numbers must be right when it is shown.
    if (left > 0 || document.hidden) setTimeout(run, Math.max(0, left));
    else requestAnimationFrame(run);
  };
}

/** Sets the text of an element where it is another one: an equal text would be laid out again all the same. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Labels from the likeliest to the least likely, as [label, probability]. */
export const ranked = (face) => LABELS.map((label) => [label, face.probabilities[label]]).sort((a, b) => b[1] - a[1]);

/** "happy", or "unsure: sad or neutral". */
export function verdict(face) {
  if (face.confidence >= SURE) return face.emotion;
  return `unsure: ${ranked(face).slice(0, 2).map(([label]) => label).join(' or ')}`;
}

export function download(name, type, ...parts) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  make('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain HTTP from another machine there is no clipboard API.
    const area = make('textarea', { class: 'visually-hidden', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}
