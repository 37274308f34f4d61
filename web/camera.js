// The camera, at the rate the server can hold: one request in flight, the next one takes the newest frame.
import { $, ask, describe, drawBoxes, faceList, linkBoxes, millis, say, wait } from './faces.js';

// Longest side of a frame as it is sent, in pixels.
const FRAME_SIDE = 1280;
// Frames a second are counted over this time, in milliseconds.
const SPAN = 3000;

let camera;

export async function toggleCamera() {
  if (camera) return stopCamera();
  if (!navigator.mediaDevices) {
    return cameraError('The browser gives the camera only to pages over HTTPS or from localhost.');
  }
  const live = { stop: new AbortController() };
  camera = live;
  $('camera').textContent = 'Stop camera';
  $('camera').setAttribute('aria-pressed', 'true');
  $('live').hidden = false;
  $('live-error').hidden = true;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: FRAME_SIDE } } });
    live.stream = stream;
    if (camera !== live) return release(live);
    $('video').srcObject = stream;
    // A camera that is pulled out ends the stream.
    stream.getVideoTracks()[0]?.addEventListener('ended', () => camera === live && stopCamera());
    await $('video').play();
    say('The camera is on.');
    await watch(live);
  } catch (error) {
    if (error.name === 'AbortError') return;
    if (camera === live) stopCamera();
    const why = {
      NotAllowedError: 'The browser was not allowed to use the camera.',
      NotFoundError: 'There is no camera.',
      NotReadableError: 'The camera is in use by another program.',
    };
    cameraError(why[error.name] ?? `The camera cannot be used: ${error.message}`);
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
  $('live-boxes').replaceChildren();
  $('live-faces').replaceChildren();
  for (const id of ['live-rate', 'live-latency', 'live-count']) $(id).textContent = '–';
  $('live-times').textContent = '';
  $('camera').textContent = 'Start camera';
  $('camera').setAttribute('aria-pressed', 'false');
  say('The camera is off.');
}

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
      const result = await ask(blob, live.stop.signal);
      const { answer } = result;
      $('live-error').hidden = true;
      drawBoxes($('live-boxes'), answer);
      showFaces(answer.faces);
      answered.push(performance.now());
      while (answered.length > 2 && answered.at(-1) - answered[0] > SPAN) answered.shift();
      const span = answered.at(-1) - answered[0];
      $('live-rate').textContent = span > 0 ? ((1000 * (answered.length - 1)) / span).toFixed(1) : '–';
      $('live-latency').textContent = millis(result.took);
      $('live-count').textContent = String(answer.faces.length);
      $('live-times').replaceChildren(`${answer.width} × ${answer.height} pixels. `, ...describe(result));
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

linkBoxes($('live-faces'), $('live-boxes'));
