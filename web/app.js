// The web console: pictures, the camera, CSV. Talks to this server only: GET /model, POST /faces.
import {
  $, LABELS, ask, counted, describe, drawBoxes, faceList, facesIn, make, millis, settings, wait,
} from './faces.js';

// Pictures under way at one time; the server's own queue does the rest.
const IN_FLIGHT = 2;
// Longest side of a camera frame as it is sent, in pixels.
const FRAME_SIDE = 1280;
// How often a picture is sent again after 503 before its error is shown.
const RETRIES = 5;
const SVG = 'http://www.w3.org/2000/svg';

// ── pictures ───────────────────────────────────────────────────────────────────────────────────────────

let results = [];
let waiting = [];
let underWay = 0;
let busySince = 0;
let busyFor = 0;

function card(result) {
  const image = make('img', { src: result.url, alt: result.name });
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('aria-hidden', 'true');
  const note = make('p', { class: 'note' }, 'Waiting …');
  const faces = make('ol', { class: 'faces' });
  const text = make('div', {}, make('h3', {}, result.name), note, faces);
  const picture = make('figure', { class: 'picture' }, image, svg);
  // TIFF, PNM and the like: the server reads them, the browser does not show them.
  image.addEventListener('error', () => {
    image.hidden = true;
    picture.append(make('figcaption', { class: 'note' }, 'This browser cannot show this format.'));
  });
  const element = make('article', { class: 'card', 'aria-label': result.name }, picture, text);
  $('cards').append(element);
  return {
    element,
    show() {
      note.textContent = `${result.answer.width} × ${result.answer.height} pixels, ${facesIn(result.answer)}. ${describe(result)}.`;
      image.alt = `${result.name}: ${facesIn(result.answer)}`;
      drawBoxes(svg, result.answer);
      faceList(faces)(result.answer.faces);
      text.append(jsonView(result));
    },
    fail() {
      note.remove();
      text.append(make('p', { class: 'error', role: 'alert' }, result.error));
    },
  };
}

function jsonView(result) {
  const json = JSON.stringify(result.answer, null, 2);
  const copy = make('button', { type: 'button', 'aria-label': `Copy the JSON of ${result.name}` }, 'Copy JSON');
  copy.addEventListener('click', async () => {
    const done = await copyText(json);
    copy.textContent = done ? 'Copied' : 'Copying was refused';
    say(copy.textContent);
    await wait(2000);
    copy.textContent = 'Copy JSON';
  });
  const pre = make('pre', { tabindex: '0', role: 'region', 'aria-label': `JSON of ${result.name}` }, json);
  return make('details', {}, make('summary', {}, 'JSON'), copy, pre);
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

function add(files) {
  const pictures = [...files];
  if (!pictures.length) return;
  $('batch').hidden = false;
  for (const file of pictures) {
    const result = { name: file.name || 'pasted picture', file, url: URL.createObjectURL(file) };
    result.card = card(result);
    results.push(result);
    waiting.push(result);
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
    result.card.show();
  } catch (error) {
    result.error = error.message;
    result.card.fail();
  }
}

function finished() {
  const failed = results.filter((r) => r.error).length;
  const faces = results.reduce((n, r) => n + (r.answer?.faces.length ?? 0), 0);
  const tail = failed ? `, ${failed} failed` : '';
  say(`Done: ${counted(faces, 'face', 'faces')} in ${counted(results.length, 'picture', 'pictures')}${tail}.`);
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

function summarise() {
  const done = results.filter((r) => r.answer);
  const busy = busyFor + (underWay ? performance.now() - busySince : 0);
  $('sum-pictures').textContent = String(results.length);
  $('sum-faces').textContent = String(done.reduce((n, r) => n + r.answer.faces.length, 0));
  $('sum-failed').textContent = String(results.filter((r) => r.error).length);
  $('sum-latency').textContent = millis(median(done.map((r) => r.took)));
  $('sum-rate').textContent = done.length && busy ? `${((1000 * done.length) / busy).toFixed(1)} pictures/s` : '–';
}

function say(text) {
  $('status').textContent = text;
}

function clear() {
  for (const result of results) URL.revokeObjectURL(result.url);
  results = [];
  waiting = [];
  busyFor = 0;
  $('cards').replaceChildren();
  $('batch').hidden = true;
  summarise();
  say('All pictures removed.');
  $('files').focus();
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
  return [head, ...rows].map((row) => row.map(field).join(',')).join('\r\n') + '\r\n';
}

function save() {
  const url = URL.createObjectURL(new Blob([csv()], { type: 'text/csv' }));
  make('a', { href: url, download: 'faces.csv' }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// ── camera ─────────────────────────────────────────────────────────────────────────────────────────────

let camera;

async function toggleCamera() {
  if (camera) return stopCamera();
  const button = $('camera');
  if (!navigator.mediaDevices) {
    return cameraError('The browser gives the camera only to pages over HTTPS or from localhost.');
  }
  const live = { stop: new AbortController() };
  camera = live;
  button.textContent = 'Stop camera';
  button.setAttribute('aria-pressed', 'true');
  $('live').hidden = false;
  $('live-error').hidden = true;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: FRAME_SIDE } } });
    live.stream = stream;
    if (camera !== live) return release(live);
    $('video').srcObject = stream;
    await $('video').play();
    say('The camera is on.');
    await watch(live);
  } catch (error) {
    if (error.name === 'AbortError') return;
    stopCamera();
    const refused = error.name === 'NotAllowedError';
    cameraError(refused ? 'The browser was not allowed to use the camera.' : `The camera cannot be used: ${error.message}`);
  }
}

function cameraError(text) {
  $('live').hidden = false;
  $('live-error').hidden = false;
  $('live-error').textContent = text;
}

function release(live) {
  for (const track of live.stream?.getTracks() ?? []) track.stop();
}

function stopCamera() {
  camera.stop.abort();
  release(camera);
  camera = undefined;
  $('video').srcObject = null;
  $('live').hidden = true;
  $('camera').textContent = 'Start camera';
  $('camera').setAttribute('aria-pressed', 'false');
  say('The camera is off.');
}

/** One request at a time; the next one takes the newest frame. */
async function watch(live) {
  const video = $('video');
  const canvas = document.createElement('canvas');
  const showFaces = faceList($('live-faces'));
  const answered = [];
  while (camera === live) {
    await nextFrame(video);
    const scale = Math.min(1, FRAME_SIDE / Math.max(video.videoWidth, video.videoHeight, 1));
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    if (!canvas.width || !canvas.height) continue;
    canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', 0.85));
    try {
      const { answer, took } = await ask(blob, live.stop.signal);
      $('live-error').hidden = true;
      drawBoxes($('live-boxes'), answer);
      showFaces(answer.faces);
      answered.push(performance.now());
      while (answered.length > 2 && answered.at(-1) - answered[0] > 3000) answered.shift();
      const span = answered.at(-1) - answered[0];
      $('live-rate').textContent = span > 0 ? ((1000 * (answered.length - 1)) / span).toFixed(1) : '–';
      $('live-latency').textContent = millis(took);
      $('live-count').textContent = String(answer.faces.length);
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      cameraError(error.message);
      await wait(1000 * (error.retryAfter || 1));
    }
  }
}

function nextFrame(video) {
  // A hidden page gets no frames, and so sends none.
  return new Promise((done) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
    else requestAnimationFrame(done);
  });
}

// ── start ──────────────────────────────────────────────────────────────────────────────────────────────

async function showModel() {
  try {
    const response = await fetch('/model', { headers: settings().headers });
    if (!response.ok) throw new Error();
    const model = await response.json();
    $('model').textContent = `Model ${model.name} ${model.version}, ${model.engine} ${model.precision} on ${model.device}`;
  } catch {
    $('model').textContent = 'The server has no model ready yet.';
    setTimeout(showModel, 2000);
  }
}

$('files').addEventListener('change', (event) => {
  add(event.target.files);
  // The same file can be chosen again.
  event.target.value = '';
});
$('camera').addEventListener('click', toggleCamera);
$('csv').addEventListener('click', save);
$('clear').addEventListener('click', clear);
$('settings').addEventListener('submit', (event) => event.preventDefault());
$('key').addEventListener('change', showModel);
document.addEventListener('paste', (event) => add(event.clipboardData?.files ?? []));
let dragged = 0;
document.addEventListener('dragenter', () => document.body.classList.toggle('over', (dragged += 1) > 0));
document.addEventListener('dragleave', () => document.body.classList.toggle('over', (dragged -= 1) > 0));
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  dragged = 0;
  document.body.classList.remove('over');
  add(event.dataTransfer?.files ?? []);
});
showModel();
