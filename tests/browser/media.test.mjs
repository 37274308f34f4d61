// The camera, videos and the model page in a real Chromium, against a real server.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { FAULTS, answering, answers } from './proxy.mjs';
import { ROOT, FAILING, accessible, finished, launch, open, origin, piece, proxy, row, startServer, stopServer } from './support.mjs';


let browser;
let folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fer-media-'));
  browser = await launch();
  await startServer();
});

after(async () => {
  await browser?.close();
  await stopServer();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => { proxy.fault = undefined; });

const go = (page, name) => page.getByRole('navigation').getByRole('link', { name, exact: true }).click();

async function csvOf(page) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save CSV' }).click()]);
  return readFileSync(await download.path(), 'utf8').slice(1).trimEnd().split('\r\n').map((line) => line.split(','));
}

/** A browser whose camera plays a piece of the photo with one face or more. */
async function filming() {
  const frame = await piece(browser, 'image/jpeg', 560, 150, 340, 255, 480, 360);
  const film = join(folder, 'camera.mjpeg');
  writeFileSync(film, Buffer.concat([frame, frame]));
  return launch(`--use-file-for-fake-video-capture=${film}`);
}

test('the camera: one request at a time, mirrored boxes, chart, CSV, a picture', async () => {
  const camera = await filming();
  try {
    const page = await open(camera);
    await page.locator('#sample .verdict', { hasText: 'happy' }).waitFor();
    let [now, most, sent] = [0, 0, 0];
    page.on('request', (r) => {
      if (!r.url().endsWith('/faces')) return;
      sent += 1;
      most = Math.max(most, now += 1);
    });
    for (const event of ['requestfinished', 'requestfailed']) page.on(event, (r) => { now -= r.url().endsWith('/faces') ? 1 : 0; });
    await go(page, 'Camera');
    await page.getByRole('button', { name: 'Start camera' }).click();
    await page.locator('#camera .box').first().waitFor();
    await page.locator('#camera .note', { hasText: /frames a second · .*boxes .* old/ }).waitFor();
    await page.waitForFunction(() => document.querySelector('#camera .line')?.getAttribute('d').includes('L'));
    assert.ok(await page.getByRole('button', { name: 'Stop camera', pressed: true }).isVisible());
    await accessible(page, 'camera');

    // Mirrored, a box stands on the other side; its words are not mirrored.
    const places = () => page.locator('#camera .box').evaluateAll((boxes) => boxes.map((b) => [parseFloat(b.style.left), parseFloat(b.style.width)]).sort((a, b) => a[0] - b[0]));
    const mirrored = await places();
    await page.getByLabel('Mirrored').uncheck();
    const [left, width] = mirrored[0];
    await page.waitForFunction((right) => [...document.querySelectorAll('#camera .box')].some((b) => Math.abs(100 - parseFloat(b.style.left) - parseFloat(b.style.width) - right) < 3), left);
    assert.ok(width > 0);

    await page.getByRole('button', { name: 'Take a picture' }).click();
    const [head, ...rows] = await csvOf(page);
    assert.equal(head.join(), 'time,seconds,faces,emotion,confidence,angry,disgust,fear,happy,sad,surprise,neutral');
    assert.ok(rows.length >= 2 && Number(rows[0][2]) > 0, rows[0].join());
    await page.getByRole('button', { name: 'Stop camera' }).click();
    await page.getByRole('button', { name: 'Start camera' }).waitFor();
    await page.waitForTimeout(100);
    assert.ok(sent >= 2 && most <= 2, `${sent} requests, ${most} at once`);
    await go(page, 'Photos');
    await finished(page, 1);
    await page.locator('#list [role=option]', { hasText: /camera .*jpg/ }).waitFor();
    await page.finish();
  } finally {
    await camera.close();
  }
});

test('a server that is slow: the picture is the frame that the boxes belong to', async () => {
  const camera = await filming();
  try {
    const page = await open(camera);
    await go(page, 'Camera');
    proxy.fault = (req, path) => (path === '/faces' ? answering({ width: 480, height: 360, delay: 600 }) : undefined);
    await page.getByRole('button', { name: 'Start camera' }).click();
    await page.getByText(/picture and boxes .* old/).waitFor();
    assert.ok(await page.locator('#camera .still').isVisible());
    proxy.fault = (req, path) => (path === '/faces' ? answering({ width: 480, height: 360 }) : undefined);
    await page.locator('#camera .still').waitFor({ state: 'hidden' });
    await page.getByText(/· boxes .* old/).waitFor();
    await page.finish();
  } finally {
    await camera.close();
  }
});

test('boxes are taken off before they look newer than they are, and come back', async () => {
  const camera = await filming();
  try {
    const page = await open(camera, {}, /^Ready · /, FAILING);
    await go(page, 'Camera');
    const quick = (req, path) => (path === '/faces' ? answering({ width: 480, height: 360 }) : undefined);
    proxy.fault = quick;
    await page.getByRole('button', { name: 'Start camera' }).click();
    await page.locator('#camera .box').first().waitFor();
    proxy.fault = (req, path) => (path === '/faces' ? FAULTS.stall : undefined);
    await page.getByText('the boxes were too old and are gone').waitFor();
    assert.equal(await page.locator('#camera .box').count(), 0);
    // A lost connection is no end either.
    await page.getByRole('button', { name: 'Stop camera' }).click();
    await page.getByRole('button', { name: 'Start camera' }).click();
    proxy.fault = (req, path) => (path === '/faces' ? FAULTS.reset : undefined);
    await page.locator('#pill', { hasText: 'cannot be reached' }).waitFor();
    proxy.fault = quick;
    await page.locator('#camera .box').first().waitFor();
    // Leaving the part ends the camera.
    await go(page, 'Model');
    await go(page, 'Camera');
    await page.getByRole('button', { name: 'Start camera', pressed: false }).waitFor();
    await page.finish();
  } finally {
    await camera.close();
  }
});

test('every failure of the camera has a text', async () => {
  const page = await open(browser);
  await go(page, 'Camera');
  for (const [name, text] of [
    ['NotAllowedError', /was not allowed to use the camera/], ['NotFoundError', /There is no camera/], ['NotReadableError', /in use by another program/],
    ['OverconstrainedError', /no longer there/], ['AbortError', /did not start/], ['SecurityError', /does not allow cameras/], ['OtherError', /cannot be used/],
  ]) {
    await page.evaluate((name) => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('raw text', name)); }, name);
    await page.getByRole('button', { name: 'Start camera' }).click();
    await page.getByRole('alert').filter({ hasText: text }).waitFor();
    assert.ok(await page.getByRole('button', { name: 'Start camera', pressed: false }).isVisible());
  }
  await accessible(page, 'no camera');
  // A prompt that nobody answers.
  await page.clock.install();
  await page.evaluate(() => { navigator.mediaDevices.getUserMedia = () => new Promise(() => {}); });
  await page.getByRole('button', { name: 'Start camera' }).click();
  await page.clock.fastForward(7000);
  await page.getByRole('alert').filter({ hasText: 'look for its question near the address bar' }).waitFor();
  await page.getByRole('button', { name: 'Stop camera' }).click();
  await page.finish();
});

/** A WebM of two seconds: the photo's face moves to the right, and is gone in the middle. */
async function movie() {
  const page = await browser.newPage();
  const photo = (await piece(browser, 'image/png', 0, 0, 400, 400, 400, 400)).toString('base64');
  const bytes = await page.evaluate(async (base64) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [480, 400];
    document.body.append(canvas);
    const pen = canvas.getContext('2d');
    const recorder = new MediaRecorder(canvas.captureStream(15), { mimeType: 'video/webm;codecs=vp8', videoBitsPerSecond: 4_000_000 });
    const chunks = [];
    recorder.ondataavailable = ({ data }) => chunks.push(data);
    recorder.start();
    const began = performance.now();
    for (let t = 0; t < 2500; t = performance.now() - began) {
      pen.fillStyle = '#888';
      pen.fillRect(0, 0, 480, 400);
      pen.drawImage(image, t / 40, 0);
      await new Promise(requestAnimationFrame);
    }
    await new Promise((done) => { recorder.onstop = done; recorder.stop(); });
    return [...new Uint8Array(await new Blob(chunks).arrayBuffer())];
  }, photo);
  await page.close();
  const path = join(folder, 'clip.webm');
  writeFileSync(path, Buffer.from(bytes));
  return path;
}

test('a video becomes a timeline for each face, a CSV, and frames to scrub through', async () => {
  const path = await movie();
  const page = await open(browser, {}, /^Ready · /, FAILING);
  await go(page, 'Video');
  await page.locator('#video-rate').selectOption('2');
  // One answer is lost on the way: the frame is sent again.
  let lost = 0;
  proxy.fault = (req, path) => (path === '/faces' && (lost += 1) === 2 ? FAULTS.reset : undefined);
  await page.setInputFiles('#video-file', path);
  await page.getByText(/^0\.0 s · /).waitFor();
  assert.ok(lost > 4, `${lost} requests`);
  const charts = page.locator('#video .tracks section');
  assert.ok(await charts.count() >= 1);
  assert.match(await charts.first().innerText(), /^Face 1: mostly \w+ \(\d+\s%\), 0\.0–\d\.\d s/);
  await page.locator('#video .box').first().waitFor();
  await accessible(page, 'video');
  const [head, ...rows] = await csvOf(page);
  assert.equal(head.join(), 'seconds,face,x,y,box_width,box_height,score,emotion,confidence,angry,disgust,fear,happy,sad,surprise,neutral');
  const times = rows.filter((cells) => cells[1] === '1').map((cells) => Number(cells[0]));
  assert.ok(times.length >= 4, times.join());
  assert.deepEqual(times, times.map((_, n) => n / 2));
  // The slider shows the frame of its time, with its boxes: the face has moved to the right.
  const left = () => page.locator('#video .box').first().evaluate((e) => parseFloat(e.style.left));
  const before = await left();
  await page.getByLabel('Time in the video, seconds').fill('2');
  await page.getByText(/^2\.0 s · face 1/).waitFor();
  assert.ok((await left()) > before + 3, `${before}, ${await left()}`);
  assert.ok(Math.abs(await page.locator('#video video').evaluate((v) => v.currentTime) - 2) < 0.05);
  await page.finish();
});

test('a dropped video opens its part; a file that is none is explained', async () => {
  const page = await open(browser);
  const transfer = await page.evaluateHandle(() => {
    const files = new DataTransfer();
    files.items.add(new File(['no video'], 'no.mp4', { type: 'video/mp4' }));
    return files;
  });
  await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
  await page.getByRole('heading', { level: 1, name: 'Video' }).waitFor();
  await page.getByRole('alert').filter({ hasText: 'This browser cannot play this video.' }).waitFor();
  await page.finish();
});

test('faces of frames are joined by overlap', async () => {
  const { join: joined } = await import(pathToFileURL(join(ROOT, 'web', 'tracks.js')));
  const face = (x) => ({ box: { x, y: 0, width: 100, height: 100 } });
  const tracks = [];
  // Two faces move towards each other, in changing order; the second is hidden for a frame, a third comes later.
  joined(tracks, 0, [face(0), face(500)], 0.5);
  joined(tracks, 0.5, [face(480), face(20)], 0.5);
  joined(tracks, 1, [face(40)], 0.5);
  joined(tracks, 1.5, [face(60), face(460)], 0.5);
  joined(tracks, 5, [face(60)], 0.5);
  assert.deepEqual(tracks.map(({ points }) => points.map(({ time, face: { box } }) => [time, box.x])), [
    [[0, 0], [0.5, 20], [1, 40], [1.5, 60]], [[0, 500], [0.5, 480], [1.5, 460]], [[5, 60]]]);
});

test('the model page draws what GET /model says', async () => {
  const model = await fetch(`${origin}/model`).then((r) => r.json());
  const page = await open(browser);
  await go(page, 'Model');
  await page.getByRole('heading', { name: 'fer2013, version 1' }).waitFor();
  const cells = await page.locator('#model .confusion tbody tr').evaluateAll((rows) => rows.map((r) => [...r.querySelectorAll('td')].map((c) => Number(c.textContent.replace('·', '0')))));
  assert.deepEqual(cells, model.scores.confusion);
  const text = await page.locator('#model').innerText();
  for (const words of [`${(100 * model.scores.accuracy).toFixed(1)}\u00a0%`, 'Limits', 'Intended use', ...model.robustness.cases.map(({ change }) => change)]) {
    assert.ok(text.includes(words), words);
  }
  // Wilson's interval for 776 of 891, computed elsewhere.
  assert.match(await page.getByRole('row', { name: /^happy .*found|^happy/ }).last().innerText(), /87\s% \(85\s% to 89\s%\)/);
  await accessible(page, 'model');
  // A model with a part of the scores.
  proxy.fault = (req, path) => (path === '/model' ? answers({ ...model, version: '2', scores: { accuracy: 0.5 }, robustness: null }) : undefined);
  await go(page, 'Photos');
  await go(page, 'Model');
  await page.getByText('holds no scores for each label').waitFor();
  proxy.fault = undefined;
  await go(page, 'Photos');
  await go(page, 'Model');
  await page.getByRole('heading', { name: 'fer2013, version 1' }).waitFor();
  await page.setViewportSize({ width: 360, height: 740 });
  const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= seen, `${wide} pixels wide on ${seen}`);
  await page.finish();
});
