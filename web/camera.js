// The camera, at the rate the server can hold: one request in flight, the next one takes the newest frame.
import { LABELS, button, counted, download, make, millis, percent, say, setText, verdict, wait } from './dom.js';
import { ask } from './api.js';
import { lines } from './chart.js';
import { csv } from './export.js';
import { bars, drawBoxes } from './faces.js';
import { add } from './photos.js';
import { failed, isReady, onState, showPill, succeeded } from './server.js';

// Longest side of a frame as it is sent, in pixels.
const FRAME_SIDE = 1280;
// Frames a second are counted over this time, in milliseconds.
const SPAN = 3000;
// With answers slower than this the classified frame is shown instead of the running picture, in milliseconds.
const LAG = 400;
// Boxes older than this are taken off the running picture, in milliseconds.
const STALE = 1000;
// What the chart shows, and how fast its lines follow, in seconds.
const WINDOW = 30;
const SMOOTH = 0.5;
// A permission prompt without an answer is explained after this time, in milliseconds.
const PATIENCE = 6000;

const ERRORS = {
  NotAllowedError: 'The browser was not allowed to use the camera. Allow it in the address bar, then start again.',
  SecurityError: 'The browser does not allow cameras on this page.',
  NotFoundError: 'There is no camera.',
  NotReadableError: 'The camera is in use by another program.',
  OverconstrainedError: 'The chosen camera is no longer there. Choose another one.',
  AbortError: 'The camera did not start. Unplug it, plug it in again, then start.',
};

let part;
let camera;
let samples = [];

function build(host) {
  const video = make('video', { muted: '', playsinline: '', 'aria-label': 'The camera’s picture' });
  const boxes = make('div', { class: 'boxes', 'aria-hidden': 'true' });
  const still = make('canvas', { class: 'still', hidden: '', 'aria-hidden': 'true' });
  const figure = make('figure', { class: 'picture' }, video, still, boxes);
  const start = button('Start camera', () => (camera ? stop() : run()), { 'aria-pressed': 'false' });
  const choice = make('select', { 'aria-label': 'Camera', hidden: '', onchange: () => { if (camera) { stop(); run(); } } });
  const mirror = make('input', {
    type: 'checkbox', id: 'mirror', checked: '', onchange: () => figure.classList.toggle('mirrored', mirror.checked),
  });
  const take = button('Take a picture', takePicture, { class: 'quiet', disabled: '' });
  const save = button('Save CSV', saveCsv, { class: 'quiet', disabled: '' });
  const problem = make('p', { class: 'error', role: 'alert', hidden: '' });
  const big = make('p', { class: 'verdict' }, 'Nothing yet');
  const small = make('p', { class: 'note' });
  const barsHost = make('div');
  const chart = make('div', { class: 'plot', role: 'img', 'aria-label': 'The seven probabilities of the largest face over the last 30 seconds' });
  const plot = make('div');
  const age = make('p', { class: 'note' });
  figure.classList.add('mirrored');
  host.append(
    make('h1', { class: 'view-title' }, 'Camera'),
    make('p', { class: 'note' }, 'Frames go to this server, one at a time, and are not stored. ',
      'Others in the picture should know that they are filmed.'),
    make('div', { class: 'bar' }, make('div', { class: 'buttons' }, start, choice, take, save),
      make('label', { for: 'mirror', class: 'inline' }, mirror, 'Mirrored')),
    problem,
    make('div', { class: 'two' }, make('div', { class: 'panel' }, figure, age),
      make('div', { class: 'panel', role: 'region', 'aria-label': 'Faces in view' }, big, small, barsHost,
        make('h2', {}, 'Last 30 seconds, the largest face'), chart, legend())));
  chart.append(plot);
  return { video, still, boxes, figure, start, choice, mirror, take, save, problem, big, small, barsHost, plot, age };
}

export const legend = () => make('p', { class: 'legend' }, ...LABELS.map((label) => make('span', { class: `dot tone-${label}` }, label)));

function fail(text) {
  part.problem.hidden = !text;
  setText(part.problem, text ?? '');
}

async function run() {
  fail();
  if (!navigator.mediaDevices) return fail('The browser gives the camera only to pages over HTTPS or from localhost.');
  const live = { stop: new AbortController() };
  camera = live;
  setText(part.start, 'Stop camera');
  part.start.setAttribute('aria-pressed', 'true');
  const unanswered = setTimeout(() => {
    if (camera !== live) return;
    fail('The browser asks whether this page may use the camera: look for its question near the address bar.');
  }, PATIENCE);
  try {
    const wanted = part.choice.value ? { deviceId: { exact: part.choice.value } } : { facingMode: 'user' };
    live.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: FRAME_SIDE }, ...wanted } });
    clearTimeout(unanswered);
    if (camera !== live) return release(live);
    fail();
    part.video.srcObject = live.stream;
    // A camera that is pulled out ends the stream.
    live.stream.getVideoTracks()[0]?.addEventListener('ended', () => {
      if (camera !== live) return;
      stop();
      fail('The camera was unplugged or taken away.');
    });
    await part.video.play();
    await listCameras(live);
    part.take.disabled = false;
    say('The camera is on.');
    await watch(live);
  } catch (error) {
    if (camera !== live) return;
    stop();
    fail(ERRORS[error.name] ?? 'The camera cannot be used.');
  } finally {
    clearTimeout(unanswered);
  }
}

async function listCameras(live) {
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'videoinput');
  const current = live.stream.getVideoTracks()[0]?.getSettings().deviceId;
  part.choice.replaceChildren(...cameras.map(({ deviceId, label }, n) =>
    make('option', { value: deviceId, selected: deviceId === current && '' }, label || `Camera ${n + 1}`)));
  part.choice.hidden = cameras.length < 2;
}

function release(live) {
  for (const track of live.stream?.getTracks() ?? []) track.stop();
}

function stop() {
  camera.stop.abort();
  release(camera);
  camera = undefined;
  part.video.srcObject = null;
  part.boxes.replaceChildren();
  part.still.hidden = true;
  part.take.disabled = true;
  setText(part.start, 'Start camera');
  setText(part.age, '');
  part.start.setAttribute('aria-pressed', 'false');
  say('The camera is off.');
}

/** The newest frame on a canvas, at the size in which it is sent. */
function frame(canvas) {
  const { videoWidth: w, videoHeight: h } = part.video;
  const scale = Math.min(1, FRAME_SIDE / Math.max(w, h, 1));
  canvas.width = Math.round(w * scale);
  canvas.height = Math.round(h * scale);
  if (!canvas.width) return undefined;
  canvas.getContext('2d').drawImage(part.video, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done, 'image/jpeg', 0.85); });
}

async function watch(live) {
  const canvas = make('canvas');
  const answered = [];
  live.drawn = 0;
  fresh(live);
  while (camera === live) {
    await nextFrame();
    if (camera !== live) return;
    const taken = performance.now();
    const blob = await frame(canvas);
    if (!blob) continue;
    part.figure.style.setProperty('--ratio', canvas.width / canvas.height);
    try {
      const result = await ask(blob, { signal: live.stop.signal });
      if (camera !== live) return;
      succeeded(result);
      showPill();
      answered.push(performance.now());
      while (answered.length > 2 && answered.at(-1) - answered[0] > SPAN) answered.shift();
      live.drawn = taken;
      live.rate = answered.length > 1 ? (1000 * (answered.length - 1)) / (answered.at(-1) - answered[0]) : 0;
      show(result, taken, canvas);
    } catch (error) {
      if (camera !== live) return;
      fail(error.state ? undefined : error.message);
      if (error.state) {
        failed(error);
        await readyAgain(live);
      } else {
        await wait(1000);
      }
    }
  }
}

/** Says how old the boxes are, and takes them off a running picture before they look newer than they are. */
async function fresh(live) {
  while (camera === live) {
    const old = performance.now() - live.drawn;
    if (live.drawn && part.still.hidden && old > STALE) {
      part.boxes.replaceChildren();
      setText(part.age, 'Waiting for an answer: the boxes were too old and are gone.');
    } else if (live.drawn) {
      setText(part.age, `${live.rate.toFixed(1)} frames a second · ${part.still.hidden ? 'boxes' : 'picture and boxes'} ${millis(old)} old`);
    }
    await wait(200);
  }
}

function show(result, taken, canvas) {
  const { faces, width } = result;
  part.still.hidden = performance.now() - taken < LAG;
  if (!part.still.hidden) {
    [part.still.width, part.still.height] = [canvas.width, canvas.height];
    part.still.getContext('2d').drawImage(canvas, 0, 0);
  }
  drawBoxes(part.boxes, part.mirror.checked
    ? { ...result, faces: faces.map((face) => ({ ...face, box: { ...face.box, x: width - face.box.x - face.box.width } })) }
    : result);
  const [first] = faces;
  setText(part.big, first ? verdict(first) : 'No face in view');
  setText(part.small, first ? `${percent(first.confidence)} · ${counted(faces.length, 'face')}` : '');
  part.barsHost.replaceChildren(...(first ? [bars(first)] : []));
  samples.push({ at: taken / 1000, when: new Date(performance.timeOrigin + taken), faces: faces.length, face: first });
  part.save.disabled = false;
  drawChart();
}

/** Lines that follow the probabilities; without a face for a second a line begins anew. */
function drawChart() {
  const now = samples.at(-1).at;
  const recent = samples.filter(({ at, face }) => face && now - at <= WINDOW);
  const series = LABELS.map((label) => {
    let value;
    let last;
    return [label, recent.map(({ at, face }) => {
      const p = face.probabilities[label];
      const weight = value === undefined ? 1 : 1 - Math.exp((last - at) / SMOOTH);
      value = (value ?? 0) + weight * (p - (value ?? 0));
      last = at;
      return [at, value];
    })];
  });
  lines(part.plot, series, now - WINDOW, now);
}

function saveCsv() {
  const head = ['time', 'seconds', 'faces', 'emotion', 'confidence', ...LABELS];
  const rows = samples.map(({ at, when, faces, face }) => [when.toISOString(), (at - samples[0].at).toFixed(3), faces, face?.emotion, face?.confidence,
    ...LABELS.map((label) => face?.probabilities[label])]);
  download('camera.csv', 'text/csv;charset=utf-8', csv([head, ...rows]));
}

async function takePicture() {
  const blob = await frame(make('canvas'));
  const name = `camera ${new Date().toTimeString().slice(0, 8).replaceAll(':', '-')}.jpg`;
  add([{ name, file: new File([blob], name, { type: 'image/jpeg' }) }], { stay: true });
  say('Picture taken: it is under Photos.');
}

function nextFrame() {
  // A hidden page gets no frames, and so sends none.
  const { video } = part;
  return new Promise((done) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
    else requestAnimationFrame(done);
    // A camera that is stopped gives none either.
    camera.stop.signal.addEventListener('abort', done);
  });
}

const waiters = new Set();
onState(() => { if (isReady()) for (const done of waiters) done(); });

/** Waits until the server is ready, or until the camera stops. */
export function readyAgain(live) {
  return isReady() || new Promise((done) => {
    const end = () => { waiters.delete(end); done(); };
    waiters.add(end);
    live.stop.signal.addEventListener('abort', end);
  });
}

export function enter(host) {
  part ??= build(host);
}

export function leave() {
  if (camera) stop();
}
