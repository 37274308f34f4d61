// A video file: the browser decodes it, some frames a second are classified, each face becomes a chart over time.
import { LABELS, button, counted, download, make, percent, say, setText, verdict } from './dom.js';
import { ask } from './api.js';
import { legend, readyAgain } from './camera.js';
import { lines } from './chart.js';
import { csv } from './export.js';
import { drawBoxes } from './faces.js';
import { failed, isReady, succeeded } from './server.js';
import { join } from './tracks.js';

// Longest side of a frame as it is sent, in pixels, and requests under way at one time.
const FRAME_SIDE = 1280;
const IN_FLIGHT = 3;

let part;
let job;
let frames = [];
let tracks = [];
let name = 'video';

function build(host) {
  const input = make('input', {
    type: 'file', accept: 'video/*', hidden: '', id: 'video-file',
    onchange: () => { if (input.files[0]) load(input.files[0]); input.value = ''; },
  });
  const choose = button('Choose a video', () => input.click());
  const rate = make('select', { id: 'video-rate' }, ...[1, 2, 5, 10].map((n) => make('option', { value: n, selected: n === 2 && '' }, `${n} a second`)));
  const cancel = button('Stop', () => job?.stop.abort(), { class: 'quiet', disabled: '' });
  const save = button('Save CSV', saveCsv, { class: 'quiet', disabled: '' });
  const problem = make('p', { class: 'error', role: 'alert', hidden: '' });
  const video = make('video', { muted: '', playsinline: '', preload: 'auto', 'aria-label': 'The video' });
  const boxes = make('div', { class: 'boxes', 'aria-hidden': 'true' });
  const figure = make('figure', { class: 'picture' }, video, boxes);
  const scrub = make('input', {
    type: 'range', min: 0, max: 0, step: 0.01, value: 0, 'aria-label': 'Time in the video, seconds', disabled: '',
    oninput: () => seekTo(Number(scrub.value)),
  });
  const progress = make('progress', { max: 1, value: 0, 'aria-label': 'Frames classified', hidden: '' });
  const note = make('p', { class: 'note' }, 'The video stays in this browser; only single frames go to this server, and are not stored.');
  const charts = make('div', { class: 'tracks' });
  host.append(make('h1', { class: 'view-title' }, 'Video'), input,
    make('div', { class: 'bar' }, make('div', { class: 'buttons' }, choose, cancel, save),
      make('label', { for: 'video-rate', class: 'inline' }, 'Frames', rate)),
    problem, progress, note,
    make('div', { class: 'two' }, make('div', { class: 'panel' }, figure, scrub),
      make('div', { class: 'panel', role: 'region', 'aria-label': 'Faces over time' }, charts, legend(),
        make('p', { class: 'note' }, 'Move the slider or point at a chart to see a frame.'))));
  return { input, choose, rate, cancel, save, problem, video, boxes, figure, scrub, progress, note, charts };
}

const event = (target, kind, signal) => new Promise((done, fail) => {
  const ends = { once: true };
  target.addEventListener(kind, done, ends);
  target.addEventListener('error', () => fail(new Error('media')), ends);
  signal.addEventListener('abort', () => fail(new DOMException('', 'AbortError')), ends);
});

/** Opens a video and classifies it. */
export async function load(file) {
  job?.stop.abort();
  const mine = { stop: new AbortController() };
  job = mine;
  const { video, problem, progress } = part;
  const { signal } = mine.stop;
  name = file.name;
  frames = [];
  tracks = [];
  problem.hidden = true;
  part.boxes.replaceChildren();
  part.charts.replaceChildren();
  part.save.disabled = true;
  if (video.src) URL.revokeObjectURL(video.src);
  try {
    const loaded = event(video, 'loadeddata', signal);
    video.src = URL.createObjectURL(file);
    await loaded;
    await knowDuration(signal);
    part.figure.style.setProperty('--ratio', video.videoWidth / video.videoHeight);
    part.scrub.max = video.duration;
    part.scrub.disabled = false;
    part.cancel.disabled = false;
    progress.hidden = false;
    await classify(mine);
    part.cancel.disabled = true;
    await seekTo(0);
    say(`${name}: ${counted(frames.length, 'frame')}, ${counted(tracks.length, 'face')}.`);
  } catch (error) {
    if (job !== mine) return;
    if (signal.aborted) setText(part.note, `Stopped after ${counted(frames.length, 'frame')}.`);
    else {
      problem.hidden = false;
      setText(problem, error.message === 'media' ? 'This browser cannot play this video. MP4 (H.264) and WebM work nearly everywhere.' : error.message);
    }
  } finally {
    if (job === mine) {
      progress.hidden = true;
      part.cancel.disabled = true;
    }
  }
}

/** Recordings of browsers do not tell their duration before they were read to the end. */
async function knowDuration(signal) {
  const { video } = part;
  if (Number.isFinite(video.duration)) return;
  const known = event(video, 'durationchange', signal);
  video.currentTime = 1e7;
  await known;
  await seek(0, signal);
}

async function seek(time, signal) {
  const { video } = part;
  if (Math.abs(video.currentTime - time) < 1e-3 && !video.seeking) return;
  const there = event(video, 'seeked', signal);
  video.currentTime = time;
  await there;
}

async function classify(mine) {
  const { video, progress } = part;
  const { signal } = mine.stop;
  const period = 1 / Number(part.rate.value);
  const times = Array.from({ length: Math.max(1, Math.ceil(video.duration / period)) }, (_, n) => n * period);
  const canvas = make('canvas');
  const scale = Math.min(1, FRAME_SIDE / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  progress.max = times.length;
  progress.value = 0;
  const underWay = new Set();
  let broken;
  for (const time of times) {
    await seek(time, signal);
    canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => { canvas.toBlob(done, 'image/jpeg', 0.85); });
    const one = askUntilAnswered(blob, mine).then((result) => {
      frames.push({ time, ...result });
      progress.value = frames.length;
      setText(part.note, `${frames.length} of ${counted(times.length, 'frame')}`);
      if (frames.length % 10 === 0) draw(period);
    }, (error) => { broken ??= error; }).finally(() => underWay.delete(one));
    underWay.add(one);
    while (underWay.size >= IN_FLIGHT) await Promise.race(underWay);
    if (broken) throw broken;
  }
  await Promise.all(underWay);
  if (broken) throw broken;
  draw(period);
}

/** A frame is sent again until it has an answer. */
async function askUntilAnswered(blob, mine) {
  for (;;) {
    if (!isReady()) await readyAgain(mine);
    try {
      const result = await ask(blob, { signal: mine.stop.signal });
      succeeded(result);
      return result;
    } catch (error) {
      if (!error.state) throw error;
      failed(error);
    }
  }
}

/** Frames end in any order, so faces are joined again from the first frame on. */
function draw(period) {
  frames.sort((a, b) => a.time - b.time);
  tracks = [];
  for (const { time, faces } of frames) join(tracks, time, faces, period);
  const { duration } = part.video;
  part.save.disabled = false;
  part.charts.replaceChildren(...tracks.map(({ points }, n) => {
    const mean = LABELS.map((label) => [label, points.reduce((sum, { face }) => sum + face.probabilities[label], 0) / points.length])
      .sort((a, b) => b[1] - a[1]);
    const plot = make('div', { class: 'plot', role: 'img', 'aria-label': `Probabilities of face ${n + 1} over time` });
    const host = make('div');
    plot.append(host);
    const at = (e) => { const { left, width } = plot.getBoundingClientRect(); return Math.min(Math.max((e.clientX - left) / width, 0), 1) * duration; };
    plot.addEventListener('pointermove', (e) => seekTo(at(e)));
    lines(host, LABELS.map((label) => [label, points.map(({ time, face }) => [time, face.probabilities[label]])]), 0, duration, 80);
    const span = `${points[0].time.toFixed(1)}–${points.at(-1).time.toFixed(1)} s`;
    return make('section', {}, make('h2', {}, `Face ${n + 1}: mostly ${mean[0][0]} (${percent(mean[0][1], 0)}), ${span}`), plot);
  }));
}

let wanted;
/** Shows the frame at a time with the boxes of the nearest classified one; only the newest wish counts. */
async function seekTo(time) {
  // While frames are classified, the video is where they are taken.
  if (!part.cancel.disabled) return;
  const busy = wanted !== undefined;
  wanted = time;
  if (busy) return;
  while (wanted !== undefined) {
    const now = wanted;
    await seek(now, new AbortController().signal);
    const nearest = frames.reduce((best, one) => (Math.abs(one.time - now) < Math.abs((best?.time ?? Infinity) - now) ? one : best), undefined);
    if (nearest) {
      const numbered = tracks.flatMap(({ points }, n) => points.filter((p) => p.time === nearest.time).map(({ face }) => `face ${n + 1}: ${verdict(face)}`));
      drawBoxes(part.boxes, nearest);
      setText(part.note, `${now.toFixed(1)} s · ${numbered.join(', ') || 'no face'}`);
    }
    part.scrub.value = now;
    if (wanted === now) wanted = undefined;
  }
}

function saveCsv() {
  const head = ['seconds', 'face', 'x', 'y', 'box_width', 'box_height', 'score', 'emotion', 'confidence', ...LABELS];
  const rows = tracks.flatMap(({ points }, n) => points.map(({ time, face }) => {
    const { box, score, emotion, confidence, probabilities } = face;
    return [time.toFixed(3), n + 1, box.x, box.y, box.width, box.height, score, emotion, confidence, ...LABELS.map((label) => probabilities[label])];
  })).sort((a, b) => a[0] - b[0]);
  download(`${name.replace(/\.\w+$/, '')}-faces.csv`, 'text/csv;charset=utf-8', csv([head, ...rows]));
}

export function enter(host) {
  part ??= build(host);
}

export function leave() {
  part?.video.pause();
}
