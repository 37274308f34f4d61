// The web console in a real Chromium, against a real server. See `run` and `support.mjs`.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { accessible, answered, card, launch, open, origin, piece, startServer, stopServer } from './support.mjs';

const FILES = ['app.js', 'camera.js', 'faces.js', 'pictures.js', 'style.css', 'icon.svg'];

let browser;
let folder;
let photo;
// What the API answers to it.
let answer;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fer-console-'));
  browser = await launch();
  photo = join(folder, 'group.png');
  writeFileSync(photo, await piece(browser, 'image/png', 0, 0, 560, 400, 560, 400));
  await startServer();
  answer = await fetch(`${origin}/faces`, { method: 'POST', body: readFileSync(photo) }).then((r) => r.json());
  assert.ok(answer.faces.length >= 5, JSON.stringify(answer));
});

after(async () => {
  await browser?.close();
  await stopServer();
  rmSync(folder, { recursive: true, force: true });
});

test('the page and its files come with a strict policy', async () => {
  for (const path of ['/', ...FILES.map((name) => `/console/${name}`)]) {
    const response = await fetch(origin + path);
    assert.equal(response.status, 200);
    const policy = response.headers.get('content-security-policy');
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
  }
});

test('chosen pictures: boxes, bars, times, JSON, CSV, errors', async () => {
  const page = await open(browser);
  page.expected = [/status of 4(15|22)/];
  const broken = join(folder, '=broken, "it".png');
  writeFileSync(broken, readFileSync(photo).subarray(0, 9000));
  const empty = join(folder, 'notes.txt');
  writeFileSync(empty, 'no picture');
  await page.setInputFiles('#files', [photo, broken, empty]);

  await answered(page, 'group.png');
  const whole = card(page, 'group.png');
  assert.equal(await whole.locator('.box').count(), answer.faces.length);
  assert.equal(await whole.locator('.faces > li').count(), answer.faces.length);
  assert.equal(await whole.locator('.bars').first().locator('dt').count(), 7);
  assert.match(await whole.locator('.note').innerText(), /560 × 400 pixels, \d+ faces\. .* ms in all: decoding .*, finding faces .*, waiting .*, network /);
  // What is shown is what the API answers.
  const shown = JSON.parse(await whole.locator('pre').textContent());
  assert.deepEqual(shown, answer);
  const [{ box }] = answer.faces;
  const drawn = await whole.locator('.box').first().evaluate((e) => [e.style.left, e.style.top, e.style.width, e.style.height]);
  const wanted = [box.x / 5.6, box.y / 4, box.width / 5.6, box.height / 4];
  for (const [i, value] of wanted.entries()) assert.ok(Math.abs(parseFloat(drawn[i]) - value) < 0.01, `${drawn} for ${wanted}`);
  const [first] = answer.faces;
  assert.equal(
    await whole.locator('h4').first().innerText(),
    `Face 1: ${first.emotion}, ${(100 * first.confidence).toFixed(1)}\u00a0%`,
  );
  // Each face's own picture was cut out, and pointing at it lights its box.
  await whole.locator('canvas:not([hidden])').nth(answer.faces.length - 1).waitFor();
  await whole.locator('.faces > li').nth(1).hover();
  assert.equal(await whole.locator('.box').nth(1).evaluate((e) => e.classList.contains('lit')), true);
  // The boxes lie on the picture.
  const [over, under] = [await whole.locator('.boxes').boundingBox(), await whole.locator('img').boundingBox()];
  for (const side of ['x', 'y', 'width', 'height']) assert.ok(Math.abs(over[side] - under[side]) < 1, side);

  await card(page, '=broken, "it".png').getByRole('alert').waitFor();
  assert.match(await card(page, '=broken, "it".png').getByRole('alert').innerText(), /cut short/);
  await card(page, 'notes.txt').getByRole('alert').waitFor();
  assert.match(await card(page, 'notes.txt').getByRole('alert').innerText(), /not a picture/);
  await page.getByText(/^Done: \d+ faces in 3 pictures, 2 failed\.$/).waitFor({ state: 'attached' });
  assert.equal(await page.locator('#sum-failed').innerText(), '2');

  await whole.getByText('JSON', { exact: true }).click();
  await whole.getByRole('button', { name: /^Copy the JSON/ }).click();
  await whole.getByText('Copied').waitFor();
  assert.deepEqual(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), answer);
  await whole.getByText('JSON', { exact: true }).click();

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save as CSV' }).click()]);
  const rows = readFileSync(await download.path(), 'utf8').trimEnd().split('\r\n');
  assert.equal(rows.length, 1 + answer.faces.length + 2);
  assert.match(rows[0], /^file,width,height,faces,face,x,y,box_width,box_height,score,emotion,confidence,angry,.*,neutral,milliseconds,error$/);
  assert.ok(rows[1].startsWith(`group.png,560,400,${answer.faces.length},1,${first.box.x},`), rows[1]);
  // No cell is taken for a formula; commas and quotes stay in their cell.
  assert.ok(rows.some((row) => row.startsWith('"\'=broken, ""it"".png",')), rows.at(-2));

  await accessible(page, 'light');
  await page.getByRole('button', { name: 'Remove all' }).click();
  assert.equal(await page.getByRole('article').count(), 0);
  await page.finish();
});

test('many pictures are a table', async () => {
  const page = await open(browser);
  page.expected = [/status of 415/];
  // Too small for a face, so that they take no time.
  const small = await piece(browser, 'image/png', 0, 0, 16, 16, 16, 16);
  const files = Array.from({ length: 8 }, (_, n) => ({ name: `small ${n}.png`, mimeType: 'image/png', buffer: small }));
  const bad = { name: 'bad.txt', mimeType: 'text/plain', buffer: Buffer.from('no picture') };
  await page.setInputFiles('#files', [...files, bad]);
  await page.getByText(/^Done: 0 faces in 9 pictures, 1 failed\.$/).waitFor({ state: 'attached' });
  const row = (name) => page.getByRole('row').filter({ has: page.getByRole('button', { name, exact: true }) });
  assert.equal(await page.getByRole('row').count(), 10);
  assert.match(await row('small 3.png').innerText(), /16 × 16\s+0/);
  assert.match(await row('bad.txt').innerText(), /not a picture/);
  assert.equal(await page.locator('#progress').isVisible(), false);
  await accessible(page, 'table');
  await page.setViewportSize({ width: 360, height: 740 });
  const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= seen, `${wide} pixels wide on ${seen}`);
  // A name leads to its card; from then on the view is the user's choice.
  await row('small 3.png').getByRole('button').press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'small 3.png');
  assert.ok(await page.getByRole('radio', { name: 'Cards' }).isChecked());
  await page.setInputFiles('#files', files);
  assert.equal(await card(page, 'small 7.png').first().isVisible(), true);
  await page.finish();
});

test('pasted and dropped pictures', async () => {
  const page = await open(browser);
  await page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    canvas.width = 200;
    canvas.height = 100;
    const blob = await new Promise((done) => canvas.toBlob(done));
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
  });
  await page.keyboard.press('Control+V');
  const pasted = page.getByRole('article').first();
  await pasted.getByText(/200 × 100 pixels, no face/).waitFor();

  const file = await page.evaluateHandle((base64) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], 'dropped.png', { type: 'image/png' }));
    return transfer;
  }, readFileSync(photo).toString('base64'));
  await page.dispatchEvent('body', 'dragenter', { dataTransfer: file });
  assert.ok(await page.evaluate(() => document.body.classList.contains('over')));
  await page.dispatchEvent('body', 'drop', { dataTransfer: file });
  await answered(page, 'dropped.png');
  assert.equal(await page.locator('body.over').count(), 0);
  await page.finish();
});

test('settings reach the server, and what it says of them the user', async () => {
  const page = await open(browser);
  page.expected = [/status of 400/];
  await page.getByText('Settings').click();
  await page.getByLabel('Most faces').fill('2');
  await page.setInputFiles('#files', photo);
  await answered(page, 'group.png');
  assert.equal(await page.locator('.box').count(), 2);
  await page.getByLabel('Least score').fill('0.1');
  await page.setInputFiles('#files', photo);
  await page.getByRole('alert').filter({ hasText: '`score` must be' }).waitFor();
  await accessible(page, 'settings open');
  await page.finish();
});

test('everything can be reached with the keyboard', async () => {
  const page = await open(browser);
  const reached = [];
  for (let i = 0; i < 8; i += 1) {
    await page.keyboard.press('Tab');
    reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.tagName));
  }
  assert.deepEqual(reached.slice(0, 6), ['A', 'A', 'A', 'files', 'camera', 'SUMMARY']);
  await page.focus('#files');
  const ring = await page.locator('label[for=files]').evaluate((e) => getComputedStyle(e).outlineStyle);
  assert.equal(ring, 'solid');
  await page.finish();
});

test('dark mode and phone width', async () => {
  const page = await open(browser, { colorScheme: 'dark', viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await page.setInputFiles('#files', photo);
  await answered(page, 'group.png');
  const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(back.match(/\d+/g).slice(0, 3).every((v) => Number(v) < 60), back);
  const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= seen, `${wide} pixels wide on ${seen}`);
  for (const button of await page.locator('button, .button').all()) {
    if (await button.isVisible()) assert.ok((await button.boundingBox()).height > 43.9, await button.evaluate((e) => `${e.outerHTML} ${e.getBoundingClientRect().height}`));
  }
  await accessible(page, 'dark, phone');
  await page.emulateMedia({ colorScheme: 'light' });
  await accessible(page, 'light, phone');
  await page.finish();
});

test('the camera, one request at a time', async () => {
  // The fake camera plays a piece of the photo: Chromium reads frames from a file of JPEGs.
  const frame = await piece(browser, 'image/jpeg', 560, 150, 340, 255, 480, 360);
  const film = join(folder, 'camera.mjpeg');
  writeFileSync(film, Buffer.concat([frame, frame]));

  const filming = await launch(`--use-file-for-fake-video-capture=${film}`);
  try {
    const page = await open(filming);
    let [now, most, sent] = [0, 0, 0];
    page.on('request', (r) => {
      if (!r.url().endsWith('/faces')) return;
      sent += 1;
      most = Math.max(most, now += 1);
    });
    for (const event of ['requestfinished', 'requestfailed']) {
      page.on(event, (r) => (now -= r.url().endsWith('/faces') ? 1 : 0));
    }
    await page.getByRole('button', { name: 'Start camera' }).click();
    await page.waitForFunction(() => Number(document.getElementById('live-count').textContent) > 0);
    await page.waitForFunction(() => Number(document.getElementById('live-rate').textContent) > 0);
    await page.waitForFunction(() => document.querySelectorAll('#live-boxes .box').length > 0);
    assert.ok(await page.getByRole('button', { name: 'Stop camera', pressed: true }).isVisible());
    await accessible(page, 'camera');
      await page.getByRole('button', { name: 'Stop camera' }).click();
    await page.locator('#live').waitFor({ state: 'hidden' });
    assert.ok(sent >= 2 && most === 1, `${sent} requests, ${most} at once`);
    await page.finish();
  } finally {
    await filming.close();
  }
});

test('a camera that cannot be had is explained', async () => {
  const page = await open(browser);
  for (const [name, text] of [
    ['NotAllowedError', 'The browser was not allowed to use the camera.'],
    ['NotFoundError', 'There is no camera.'],
  ]) {
    await page.evaluate((name) => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name));
    }, name);
    await page.getByRole('button', { name: 'Start camera' }).click();
    await page.getByRole('alert').filter({ hasText: text }).waitFor();
    assert.ok(await page.getByRole('button', { name: 'Start camera', pressed: false }).isVisible());
  }
  await accessible(page, 'no camera');
  await page.finish();
});

test('a server that is gone is said to be gone', async () => {
  const page = await open(browser);
  page.expected = [/ERR_CONNECTION_REFUSED/];
  await stopServer();
  await page.setInputFiles('#files', photo);
  await page.getByRole('alert').filter({ hasText: 'The server cannot be reached.' }).waitFor();
  await page.finish();
});

test('a server that wants a key says so, and gets it', async () => {
  const key = 'a-key-of-more-than-32-characters-for-this-test';
  const keys = join(folder, 'keys');
  writeFileSync(keys, `${key}\n`, { mode: 0o600 });
  await startServer('--api-keys', keys);
  const page = await open(browser, {}, 'The server asks for an API key: see Settings.', [/status of 401/]);
  await page.setInputFiles('#files', photo);
  await card(page, 'group.png').getByRole('alert').filter({ hasText: /key/i }).waitFor();
  await page.getByText('Settings', { exact: true }).click();
  await page.getByLabel(/^API key/).fill(key);
  await page.keyboard.press('Tab');
  await page.getByText(/^Model /).waitFor();
  await page.getByRole('button', { name: 'Remove all' }).click();
  await page.setInputFiles('#files', photo);
  await answered(page, 'group.png');
  await accessible(page, 'key');
  await page.finish();
});
