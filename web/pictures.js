// Pictures that were chosen, pasted or dropped: sent a few at a time, shown as cards or as a table, saved as CSV.
import {
  $, LABELS, ask, chips, counted, describe, drawBoxes, faceList, facesIn, linkBoxes, make, millis, percent, say, strip,
  tally, timeStrip, wait,
} from './faces.js';

// Pictures under way at one time; the server's own queue does the rest.
const IN_FLIGHT = 2;
// How often a picture is sent again after 503 before its error is shown.
const RETRIES = 5;
// With more faces than this the list goes under the picture.
const BESIDE = 2;
// So many pictures at once are shown as a table, unless the user has chosen.
const MANY = 8;

let results = [];
let waiting = [];
let underWay = 0;
let busySince = 0;
let busyFor = 0;
let chosenView = false;

// ── one picture: a card and a row of the table ─────────────────────────────────────────────────────────

function card(result) {
  const image = make('img', { src: result.url, alt: result.name });
  const boxes = make('div', { class: 'boxes', 'aria-hidden': 'true' });
  const note = make('p', { class: 'note' }, 'Waiting …');
  const list = make('ol', { class: 'faces' });
  const found = make('div', { class: 'found' }, list);
  const text = make('div', { class: 'text' }, make('h3', { tabindex: '-1' }, result.name), note);
  const picture = make('figure', { class: 'picture' }, image, boxes);
  linkBoxes(list, boxes);
  // TIFF, PNM and the like: the server reads them, the browser does not show them.
  image.addEventListener('error', () => {
    image.hidden = true;
    picture.append(make('figcaption', { class: 'note' }, 'This browser cannot show this format.'));
  });
  const element = make('article', { class: 'card', 'aria-label': result.name }, picture, text, found);
  $('cards').append(element);
  return {
    element,
    async show() {
      const { answer } = result;
      note.replaceChildren(`${answer.width} × ${answer.height} pixels, ${facesIn(answer)}. `, ...describe(result));
      image.alt = `${result.name}: ${facesIn(answer)}`;
      if (answer.faces.length) note.before(chips(tally(answer.faces)));
      note.before(make('div', { class: 'times' }, timeStrip(result)));
      text.append(jsonView(result));
      element.classList.toggle('crowd', answer.faces.length > BESIDE);
      drawBoxes(boxes, answer);
      const fill = faceList(list, image);
      fill(answer.faces);
      // Faces are cut out of the picture, which may still be decoded; a format that cannot be shown has none.
      const shown = await image.decode().then(() => true, () => false);
      if (shown) fill(answer.faces);
    },
    fail() {
      note.remove();
      text.append(make('p', { class: 'error', role: 'alert' }, result.error));
    },
  };
}

function row(result) {
  const thumb = make('img', { src: result.url, alt: '', loading: 'lazy' });
  thumb.addEventListener('error', () => (thumb.hidden = true));
  const button = make('button', { type: 'button' }, result.name);
  button.addEventListener('click', () => {
    $('view-cards').checked = true;
    showAs('cards');
    result.card.element.scrollIntoView({ block: 'start' });
    result.card.element.querySelector('h3').focus();
  });
  const cells = ['number', 'number', '', '', 'number'].map((css) => make('td', { class: css }, '…'));
  const name = make('th', { scope: 'row' }, make('div', { class: 'name' }, thumb, button));
  $('rows').append(make('tr', {}, name, ...cells));
  const [pixels, faces, largest, all, latency] = cells;
  return {
    show() {
      const { answer } = result;
      const [first] = answer.faces;
      pixels.textContent = `${answer.width} × ${answer.height}`;
      faces.textContent = String(answer.faces.length);
      largest.replaceChildren(first
        ? make('span', { class: `dot tone-${first.emotion}` }, `${first.emotion}, ${percent(first.confidence)}`)
        : '–');
      all.replaceChildren(first ? chips(tally(answer.faces)) : '–');
      latency.textContent = millis(result.took);
    },
    fail() {
      for (const cell of cells.slice(1)) cell.remove();
      pixels.setAttribute('colspan', cells.length);
      pixels.className = 'bad';
      pixels.textContent = result.error;
    },
  };
}

function jsonView(result) {
  const json = JSON.stringify(result.answer, null, 2);
  const copy = make('button', { type: 'button', class: 'quiet', 'aria-label': `Copy the JSON of ${result.name}` }, 'Copy JSON');
  copy.addEventListener('click', async () => {
    const done = await copyText(json);
    copy.textContent = done ? 'Copied' : 'Copying was refused';
    say(copy.textContent);
    await wait(2000);
    copy.textContent = 'Copy JSON';
  });
  const pre = make('pre', { tabindex: '0', role: 'region', 'aria-label': `JSON of ${result.name}` }, json);
  return make('details', { class: 'json' }, make('summary', {}, 'JSON'), copy, pre);
}

async function copyText(text) {
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

// ── all of them ────────────────────────────────────────────────────────────────────────────────────────

export function add(files) {
  const pictures = [...files];
  if (!pictures.length) return;
  $('batch').hidden = false;
  for (const file of pictures) {
    const result = { name: file.name || 'pasted picture', file, url: URL.createObjectURL(file) };
    result.card = card(result);
    result.row = row(result);
    results.push(result);
    waiting.push(result);
  }
  if (!chosenView && results.length >= MANY) {
    $('view-table').checked = true;
    show('table');
  }
  say(`${counted(pictures.length, 'picture', 'pictures')} added.`);
  summarise();
  work();
}

function work() {
  if (underWay === 0 && waiting.length) busySince = performance.now();
  while (underWay < IN_FLIGHT && waiting.length) {
    underWay += 1;
    process(waiting.shift()).finally(() => {
      underWay -= 1;
      if (underWay === 0 && !waiting.length) {
        busyFor += performance.now() - busySince;
        finished();
      }
      summarise();
      work();
    });
  }
}

async function askPatiently(blob) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await ask(blob);
    } catch (error) {
      if (error.status !== 503 || attempt === RETRIES) throw error;
      await wait(1000 * (error.retryAfter || 1));
    }
  }
}

async function process(result) {
  try {
    Object.assign(result, await askPatiently(result.file));
  } catch (error) {
    result.error = error.message;
    result.card.fail();
    result.row.fail();
    return;
  }
  result.row.show();
  await result.card.show();
}

const allFaces = () => results.flatMap((r) => r.answer?.faces ?? []);

function finished() {
  const failed = results.filter((r) => r.error).length;
  const tail = failed ? `, ${failed} failed` : '';
  const faces = counted(allFaces().length, 'face', 'faces');
  say(`Done: ${faces} in ${counted(results.length, 'picture', 'pictures')}${tail}.`);
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

function summarise() {
  const done = results.filter((r) => r.answer);
  const failed = results.filter((r) => r.error).length;
  const busy = busyFor + (underWay ? performance.now() - busySince : 0);
  const faces = allFaces();
  $('sum-pictures').textContent = String(results.length);
  $('sum-faces').textContent = String(faces.length);
  $('sum-failed').textContent = String(failed);
  $('sum-latency').textContent = millis(median(done.map((r) => r.took)));
  $('sum-rate').textContent = done.length && busy ? ((1000 * done.length) / busy).toFixed(1) : '–';
  $('progress').max = Math.max(1, results.length);
  $('progress').value = done.length + failed;
  $('progress').hidden = done.length + failed === results.length;
  const mix = tally(faces);
  $('overall').replaceChildren(...(results.length > 1 && mix.length ? [strip(mix), chips(mix)] : []));
}

export function clear() {
  for (const result of results) URL.revokeObjectURL(result.url);
  results = [];
  waiting = [];
  busyFor = 0;
  $('cards').replaceChildren();
  $('rows').replaceChildren();
  $('batch').hidden = true;
  summarise();
  say('All pictures removed.');
  $('files').focus();
}

function show(view) {
  $('cards').hidden = view !== 'cards';
  $('table').hidden = view !== 'table';
}

/** The user's choice: `cards` or `table`. */
export function showAs(view) {
  chosenView = true;
  show(view);
}

// ── CSV ────────────────────────────────────────────────────────────────────────────────────────────────

/** RFC 4180; text that a spreadsheet would take for a formula gets an apostrophe. */
function field(value) {
  let text = value === undefined ? '' : String(value);
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const head = ['file', 'width', 'height', 'faces', 'face', 'x', 'y', 'box_width', 'box_height', 'score',
    'emotion', 'confidence', ...LABELS, 'milliseconds', 'error'];
  const rows = results.filter((r) => r.answer || r.error).flatMap((r) => {
    const { width, height, faces = [] } = r.answer ?? {};
    const start = [r.name, width, height, r.answer && faces.length];
    const end = [r.took?.toFixed(1), r.error];
    if (!faces.length) return [[...start, ...Array(8 + LABELS.length).fill(undefined), ...end]];
    return faces.map((f, n) => [...start, n + 1, f.box.x, f.box.y, f.box.width, f.box.height, f.score,
      f.emotion, f.confidence, ...LABELS.map((l) => f.probabilities[l]), ...end]);
  });
  return [head, ...rows].map((cells) => cells.map(field).join(',')).join('\r\n') + '\r\n';
}

export function save() {
  const url = URL.createObjectURL(new Blob([csv()], { type: 'text/csv' }));
  make('a', { href: url, download: 'faces.csv' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
