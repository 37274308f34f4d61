// The queue in a real Chromium: whatever happens to the server or between it and the page, every image gets its answer.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { FAULTS, answerWith, answering, answers } from './proxy.mjs';
import { FAILING, finished, haltServer, launch, look, open, piece, proxy, row, startServer, stopServer } from './support.mjs';

const KEY = 'a-key-of-more-than-32-characters-for-this-test';
const N = 7;

let browser;
let folder;
let small;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fer-queue-'));
  browser = await launch();
  // Too small for a face, so that it takes no time.
  small = await piece(browser, 'image/png', 0, 0, 16, 16, 16, 16);
  await startServer();
});

after(async () => {
  await browser?.close();
  await stopServer();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => { proxy.fault = undefined; });

const images = (n = N) => Array.from({ length: n }, (_, i) => ({ name: `image ${i}.png`, mimeType: 'image/png', buffer: small }));
const pill = (page, words) => page.locator('#pill', { hasText: words }).waitFor();

/** Opens the page; the sample's own request is over. */
async function ready() {
  const page = await open(browser, {}, /^Ready · /, FAILING);
  await page.locator('#sample .verdict', { hasText: /\w/ }).filter({ hasNotText: '…' }).waitFor();
  return page;
}

/** Each image has an answer, and none an error. */
async function whole(page, n = N) {
  await pill(page, /^Ready · /);
  const chips = await finished(page, n);
  assert.ok(chips.includes(`no face ${n}`), chips.join(', '));
  assert.equal(chips.some((text) => /failed/i.test(text)), false, chips.join(', '));
  await page.finish();
}

const work = (path) => path === '/faces';
const everything = (path) => ['/faces', '/readyz', '/model'].includes(path);

const CASES = [
  ['html200', /Something answers instead/], ['empty', /Something answers instead/], ['half', /cannot be reached/],
  ['gateway', /cannot be reached/], ['gatewayTimeout', /cannot be reached/], ['reset', /cannot be reached/],
  ['limited', /Rate limit/], ['unavailable', /busy/], ['starting', /starting/], ['draining', /restarting/],
  ['unauthorized', /API key/], ['login', /Something answers instead/], ['internal', /too slow/], ['deadline', /too slow/],
];

for (const [name, words] of CASES) {
  for (const [where, meets] of [['the images', work], ['everything', everything]]) {
    test(`${name}, for ${where}: the queue waits, and every image is answered`, async () => {
      const page = await ready();
      let met = 0;
      proxy.fault = (req, path) => {
        if (!meets(path)) return undefined;
        met += 1;
        return FAULTS[name];
      };
      await page.setInputFiles('#files', images());
      await pill(page, words);
      // One line says why, and what waits.
      await pill(page, new RegExp(`${words.source}.* · ${N} images wait, nothing is lost`));
      assert.ok(met > 0);
      proxy.fault = undefined;
      await whole(page);
    });
  }
}

test('a server that never answers', async () => {
  const page = await ready();
  proxy.fault = (req, path) => (work(path) ? FAULTS.stall : undefined);
  await page.clock.install();
  await page.setInputFiles('#files', images());
  await row(page, 'image 0.png').getByText('sending …').waitFor();
  proxy.fault = (req, path) => (everything(path) ? FAULTS.stall : undefined);
  await page.clock.fastForward(70_000);
  await pill(page, /does not answer · 7 images wait, nothing is lost/);
  proxy.fault = undefined;
  // The next probe is due after the backoff, or after the one that stalls.
  await page.clock.fastForward(30_000);
  await page.clock.fastForward(30_000);
  await whole(page);
});

test('503 for minutes loses nothing', async () => {
  const page = await ready();
  proxy.fault = (req, path) => (everything(path) ? FAULTS.starting : undefined);
  await page.clock.install();
  await page.setInputFiles('#files', images());
  await pill(page, /starting · 7 images wait/);
  for (let i = 0; i < 40; i += 1) await page.clock.fastForward(15_000);
  await pill(page, /starting · 7 images wait/);
  proxy.fault = undefined;
  await page.clock.fastForward(15_000);
  await whole(page);
});

test('Retry-After is honoured', async () => {
  const page = await ready();
  await page.clock.install();
  proxy.fault = (req, path) => (work(path) ? answerWith(429, 'rate_limited', { 'retry-after': '60' }) : undefined);
  await page.setInputFiles('#files', images());
  await pill(page, /Rate limit reached · 7 images wait, nothing is lost · goes on at /);
  proxy.fault = undefined;
  proxy.seen.length = 0;
  await page.clock.fastForward(50_000);
  // Two requests of this test: one that the page sent before them would have arrived.
  for (let i = 0; i < 2; i += 1) await page.evaluate(() => fetch('livez').then((r) => r.text()));
  assert.deepEqual(proxy.seen, ['GET /livez', 'GET /livez']);
  await pill(page, /Rate limit reached/);
  await page.clock.fastForward(11_000);
  await whole(page);
});

test('a proxy that refuses a body as too large gets a smaller one', async () => {
  const page = await ready();
  let refused = 0;
  proxy.fault = (req, path) => (work(path) && (refused += 1) <= 2 ? FAULTS.tooLarge : undefined);
  await page.setInputFiles('#files', images());
  await whole(page);
  assert.ok(refused > 2);
});

test('offline and online again', async () => {
  const page = await ready();
  await page.context().setOffline(true);
  await page.setInputFiles('#files', images());
  await pill(page, /offline · 7 images wait, nothing is lost/);
  await page.context().setOffline(false);
  await whole(page);
});

test('a restart in the middle of many images', async () => {
  const page = await ready();
  await page.setInputFiles('#files', images(60));
  await row(page, 'image 0.png').getByText('no face').waitFor();
  await haltServer();
  await pill(page, /wait, nothing is lost/);
  await startServer();
  await whole(page, 60);
});

test('the pill at rest: a server that goes and comes, and a model that was replaced', async () => {
  const page = await ready();
  await page.clock.install();
  proxy.fault = (req, path) => (everything(path) ? FAULTS.reset : undefined);
  await page.clock.fastForward(25_000);
  await pill(page, /^The server cannot be reached$/);
  proxy.fault = (req, path) => (everything(path) ? FAULTS.starting : undefined);
  await page.clock.fastForward(16_000);
  await pill(page, /^The server is starting$/);
  proxy.fault = undefined;
  await page.clock.fastForward(16_000);
  await pill(page, /^Ready · fer2013 v1 · int8 on CPU · \d.*\sms$/);
  proxy.fault = (req, path) => ({
    '/faces': answering({ model: { name: 'fer2013', version: '2' } }),
    '/model': answers({ name: 'fer2013', version: '2', precision: 'bf16', device: 'cpu' }),
  })[path];
  await page.setInputFiles('#files', images(1));
  await pill(page, /^Ready · fer2013 v2 · bf16 on CPU · /);
  await page.finish();
});

test('a rate limit of the server itself', async () => {
  await haltServer();
  await startServer('--rate-limit', '5');
  const page = await ready();
  await page.setInputFiles('#files', images(20));
  await whole(page, 20);
  await haltServer();
  await startServer();
});

test('a key that is missing, impossible, wrong, and right', async () => {
  const keys = join(folder, 'keys');
  writeFileSync(keys, `${KEY}\n`, { mode: 0o600 });
  await haltServer();
  await startServer('--api-keys', keys);
  const page = await open(browser, {}, /needs an API key: see Settings/, FAILING);
  await page.setInputFiles('#files', images());
  await pill(page, /needs an API key: see Settings · 7 images wait, nothing is lost/);
  await page.getByText('Settings', { exact: true }).click();
  const field = page.getByLabel(/^API key/);
  const enter = async (value) => { await field.fill(value); await field.blur(); };
  await enter('schlüssel');
  await pill(page, /cannot have the character “ü”/);
  await enter('another-key-that-the-server-does-not-know');
  await pill(page, /does not know this API key/);
  await enter(KEY);
  await whole(page);
  await haltServer();
  await startServer();
});

test('pause, remove, clear: what is under way is aborted', async () => {
  const page = await ready();
  await page.setInputFiles('#files', images());
  await finished(page, N);
  proxy.fault = (req, path) => (work(path) ? FAULTS.stall : undefined);
  await page.setInputFiles('#files', images());
  await page.getByText('7 of 14').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await pill(page, /^Paused · 7 images wait/);
  const aborted = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/faces'));
  await page.locator('#list').focus();
  await page.keyboard.press('End');
  // The last image is not under way yet; others are.
  await page.keyboard.press('Delete');
  await page.getByText('7 of 13').waitFor();
  proxy.fault = undefined;
  await page.getByRole('button', { name: 'Clear' }).click();
  await aborted;
  assert.equal(await page.locator('#list [role=option]').count(), 0);
  await page.getByRole('heading', { name: 'Which expression does this face show?' }).waitFor();
  await page.setInputFiles('#files', images());
  await whole(page);
});

test('an answer that lacks parts, and codes of the server, in plain words', async () => {
  const page = await ready();
  const faults = {
    'image 0.png': [answerWith(422, 'too_costly'), 'The image would take the server too long to read.'],
    'image 1.png': [answerWith(422, 'unsupported_image'), 'The image uses a feature of its format that the server does not read.'],
    'image 2.png': [answerWith(422, 'broken_image'), 'The image file is damaged or cut short.'],
    'image 3.png': [answerWith(422, 'a_new_code'), 'Title of a_new_code. a detail'],
    'image 4.png': [answerWith(400, 'empty_body'), 'The file is empty.'],
  };
  for (const [name, [fault, words]] of Object.entries(faults)) {
    proxy.fault = (req, path) => (work(path) ? fault : undefined);
    await page.setInputFiles('#files', { name, mimeType: 'image/png', buffer: small });
    await look(page, name);
    await page.locator('#answer .note', { hasText: words }).waitFor();
  }
  // Retried together, they are answered.
  proxy.fault = undefined;
  await page.getByRole('button', { name: 'Retry failed' }).click();
  await finished(page, 5);
  await page.locator('.chip', { hasText: 'no face 5' }).waitFor();

  // Something that stays in the way of one image only ends as its error.
  proxy.fault = (req, path) => (work(path) && Number(req.headers['content-length']) > small.length ? FAULTS.lacking : undefined);
  await page.clock.install();
  const large = await piece(browser, 'image/png', 0, 0, 20, 20, 20, 20);
  await page.setInputFiles('#files', { name: 'odd.png', mimeType: 'image/png', buffer: large });
  for (let i = 0; i < 12; i += 1) await page.clock.fastForward(20_000);
  await look(page, 'odd.png');
  for (let i = 0; i < 12 && !(await page.locator('#answer[data-state=failed]').count()); i += 1) await page.clock.fastForward(20_000);
  await page.locator('#answer .note', { hasText: 'The answer lacks parts that this page needs.' }).waitFor();
  await page.finish();
});

test('a folder is read with all that is in it, and keeps its paths', async () => {
  const page = await ready();
  const deep = join(folder, 'album', 'summer', 'deep');
  const { mkdirSync } = await import('node:fs');
  mkdirSync(deep, { recursive: true });
  for (let i = 0; i < 3; i += 1) writeFileSync(join(deep, `${i}.png`), small);
  writeFileSync(join(folder, 'album', 'top.png'), small);
  writeFileSync(join(folder, 'album', 'notes.txt'), 'no image');
  await page.setInputFiles('#folder', join(folder, 'album'));
  await finished(page, 4);
  await row(page, 'album/summer/deep/2.png').waitFor();

  // The same for one that is dropped: entries as a browser hands them out, a few at a time.
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.evaluate((bytes) => {
    const file = (path) => ({ isFile: true, fullPath: path, file: (done) => done(new File([Uint8Array.from(bytes)], path.split('/').pop(), { type: 'image/png' })) });
    const directory = (path, entries) => ({
      isDirectory: true, fullPath: path,
      createReader: () => { const left = [...entries]; return { readEntries: (done) => done(left.splice(0, 2)) }; },
    });
    const album = directory('/album', [file('/album/a.png'), directory('/album/in', [1, 2, 3, 4, 5].map((n) => file(`/album/in/${n}.png`))), file('/album/b.png')]);
    const event = new Event('drop', { bubbles: true, cancelable: true });
    Object.defineProperty(event, 'dataTransfer', { value: { items: [{ kind: 'file', webkitGetAsEntry: () => album, getAsFile: () => null }] } });
    document.body.dispatchEvent(event);
  }, [...small]);
  await finished(page, 7);
  await row(page, 'album/in/5.png').waitFor();
  await page.finish();
});
