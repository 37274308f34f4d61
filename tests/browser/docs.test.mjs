// The API page in a real Chromium, against a real server. See `run` and `support.mjs`.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { accessible, launch, open, origin, piece, startServer, stopServer } from './support.mjs';

let browser;
let folder;
let face;
let contract;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fer-docs-'));
  browser = await launch();
  face = join(folder, 'face.png');
  writeFileSync(face, await piece(browser, 'image/png', 0, 0, 96, 96, 96, 96));
  await startServer();
  contract = await fetch(`${origin}/openapi.json`).then((r) => r.json());
});

after(async () => {
  await browser?.close();
  await stopServer();
  rmSync(folder, { recursive: true, force: true });
});

/** The API page, drawn. */
async function docs(options) {
  const page = await open(browser, options);
  await page.goto(`${origin}/docs`);
  await page.getByText(/^Version /).waitFor();
  return page;
}

/** Opens an operation's form and answers it with the operation. */
async function trying(page, id) {
  const operation = page.locator(`#${id}`);
  await operation.locator('.try > summary').click();
  return operation;
}

const result = async (operation) => {
  await operation.locator('.result pre.body').waitFor();
  return {
    status: parseInt(await operation.locator('.result > p').first().innerText()),
    headers: await operation.locator('.result pre.headers').textContent(),
    body: await operation.locator('.result pre.body').textContent(),
  };
};

test('the page and its files come with a strict policy', async () => {
  for (const path of ['/docs', '/docs/app.js', '/docs/parts.js', '/docs/try.js', '/docs/style.css']) {
    const response = await fetch(origin + path);
    assert.equal(response.status, 200);
    const policy = response.headers.get('content-security-policy');
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  }
});

test('every operation of the contract is drawn, with all it has', async () => {
  const page = await docs();
  const follow = (value) => (value.$ref ? follow(value.$ref.slice(2).split('/').map((s) => s.replaceAll('~1', '/')).reduce((at, s) => at[s], contract)) : value);
  const operations = Object.entries(contract.paths).flatMap(([path, item]) => Object.entries(item).map(([method, spec]) => ({ path, method, spec })));
  assert.equal(await page.locator('#operations article.operation[id]').count(), operations.length);
  for (const { path, method, spec } of operations) {
    const drawn = await page.locator(`#${spec.operationId}`).evaluate((e) => ({
      title: e.querySelector('h3').textContent,
      text: e.textContent,
      statuses: [...e.querySelectorAll('[data-status]')].map((a) => a.dataset.status),
      parameters: [...e.querySelectorAll('table')].slice(0, 1).flatMap((t) => [...t.querySelectorAll('tbody code:first-child')].map((c) => c.textContent)),
      media: [...e.querySelectorAll('h5')].map((h) => h.textContent),
      examples: [...e.querySelectorAll('pre')].map((p) => p.textContent),
    }));
    assert.equal(drawn.title, `${method.toUpperCase()}${path}`);
    assert.ok(drawn.text.includes(spec.summary), path);
    assert.deepEqual(drawn.statuses, Object.keys(spec.responses));
    const parameters = (spec.parameters ?? []).map(follow);
    for (const { name } of parameters) assert.ok(drawn.parameters.includes(name), `${path}: ${name} of ${drawn.parameters}`);
    const contents = [...Object.values(spec.responses).map(follow), ...(spec.requestBody ? [follow(spec.requestBody)] : [])].map((r) => r.content ?? {});
    for (const content of contents) {
      for (const [type, { examples }] of Object.entries(content)) {
        assert.ok(drawn.media.includes(type), `${path}: ${type}`);
        for (const example of Object.values(examples ?? {}).map(follow)) {
          const there = drawn.examples.some((text) => {
            if (typeof example.value === 'string') return text === example.value;
            try { assert.deepEqual(JSON.parse(text), example.value); return true; } catch { return false; }
          });
          assert.ok(there, `${path}: an example of ${type} is missing`);
        }
      }
    }
  }
  assert.equal(await page.locator('#others [data-status]').count(), Object.keys(contract['x-other-requests']).length);
  assert.doesNotMatch(await page.locator('main').textContent(), /undefined|\[object|NaN/);
  // A schema shows what is in it.
  const answer = page.locator('#predict [data-status="200"]');
  await answer.locator(':scope > summary').click();
  await answer.getByText('Schema', { exact: true }).click();
  assert.match(await answer.locator('.schema').nth(1).innerText(), /Prediction: object[\s\S]*emotion Emotion: string; one of angry[\s\S]*required/);
  await page.finish();
});

test('a picture is sent to /predict', async () => {
  const page = await docs();
  page.expected = [/status of 4(00|15)/];
  const operation = await trying(page, 'predict');
  await operation.getByLabel('File').setInputFiles(face);
  await operation.locator('.preview').waitFor();
  await operation.getByRole('button', { name: 'Send' }).click();
  const one = await result(operation);
  const wanted = await fetch(`${origin}/predict`, { method: 'POST', body: readFileSync(face) }).then((r) => r.json());
  assert.equal(one.status, 200);
  assert.deepEqual(JSON.parse(one.body), wanted);
  assert.match(one.headers, /server-timing: decode;dur=/);
  // The real request, with the name of the file, to be copied.
  const code = operation.getByRole('region', { name: 'Request of predict as code' });
  assert.match(await code.innerText(), /^curl -H 'Content-Type: application\/octet-stream' \\\n {2}--data-binary '@face\.png' \\\n {2}'http:.*\/predict'$/);
  await operation.getByRole('button', { name: 'Python' }).click();
  assert.match(await code.innerText(), /open\("face\.png", "rb"\)/);
  await operation.locator('.try .views .copy').click();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^import urllib\.request/);
  await operation.getByRole('button', { name: 'curl' }).click();
  // Request and answer stand side by side.
  const [left, right] = [await code.boundingBox(), await operation.locator('.result pre.body').boundingBox()];
  assert.ok(left.x + left.width <= right.x && Math.abs(left.y - right.y) < 120, JSON.stringify([left, right]));

  // A form with two pictures, and a parameter.
  await operation.getByLabel('Send as').selectOption('multipart/form-data');
  await operation.getByLabel('Pictures').setInputFiles([face, face]);
  await operation.getByLabel('crop (query)').selectOption('none');
  await operation.locator('.result').evaluate((e) => e.replaceChildren());
  await operation.getByRole('button', { name: 'Send' }).click();
  const two = JSON.parse((await result(operation)).body);
  assert.equal(two.predictions.length, 2);
  assert.deepEqual(two.predictions[1].probabilities, wanted.probabilities);
  await accessible(page, 'with an answer');

  // What the server refuses is shown as it says it.
  await operation.getByLabel('Send as').selectOption('application/json');
  await operation.getByLabel('JSON', { exact: true }).fill('{"image": "bm8gcGljdHVyZQ=="}');
  await operation.locator('.result').evaluate((e) => e.replaceChildren());
  await operation.getByRole('button', { name: 'Send' }).click();
  const refused = await result(operation);
  assert.equal(refused.status, 415);
  assert.equal(JSON.parse(refused.body).code, 'unknown_image_format');
  await page.finish();
});

test('other operations are tried, with their parameters', async () => {
  const page = await docs();
  page.expected = [/status of 404/];
  const model = await trying(page, 'model');
  await model.getByRole('button', { name: 'Send' }).click();
  assert.deepEqual(JSON.parse((await result(model)).body), await fetch(`${origin}/model`).then((r) => r.json()));
  const infer = await trying(page, 'modelInfer');
  await infer.getByRole('button', { name: 'Send' }).click();
  assert.equal(JSON.parse((await result(infer)).body).outputs[0].data.length, 7);
  const metadata = await trying(page, 'modelMetadata');
  await metadata.getByLabel('name (path)').fill('a/b');
  await metadata.getByRole('button', { name: 'Send' }).click();
  assert.equal(JSON.parse((await result(metadata)).body).code, 'unknown_model');
  await page.finish();
});

test('the filter leaves what has its words; files of the pages are behind one line', async () => {
  const page = await docs();
  // Closed: the pages' own files.
  assert.equal(await page.locator('#consoleFile').isVisible(), false);
  await page.locator('#files > summary').click();
  await page.locator('#consoleFile').waitFor();
  assert.equal(await page.locator('#files article').count(), 4);
  await page.getByLabel('Filter').fill('crop largest');
  await page.locator('#found', { hasText: /^1 of \d+ operations$/ }).waitFor();
  assert.equal(await page.locator('#predict').isVisible(), true);
  assert.equal(await page.locator('#faces').isVisible(), false);
  assert.equal(await page.locator('#operations-list a:visible').count(), 1);
  await page.getByLabel('Filter').fill('');
  await page.locator('#faces').waitFor();
  // The address of an operation leads to it.
  await page.goto(`${origin}/docs#reload`);
  await page.waitForFunction(() => { const { top } = document.getElementById('reload').getBoundingClientRect(); return top > -10 && top < innerHeight; });
  await page.finish();
});

test('a path breaks after a slash only', async () => {
  const page = await docs({ viewport: { width: 360, height: 740 } });
  const broken = await page.evaluate(() => [...document.querySelectorAll('#operations-list a, .operation h3 code')].flatMap((element) => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const found = [];
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const range = document.createRange();
      range.selectNodeContents(text);
      if (new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1) found.push(text.data);
    }
    return found;
  }));
  assert.deepEqual(broken, []);
  await page.finish();
});

test('accessible, dark and narrow, too', async () => {
  const page = await docs();
  await page.evaluate(() => { for (const e of document.querySelectorAll('#predict details, #modelInfer details')) e.open = true; });
  await accessible(page, 'light');
  await page.finish();
  const dark = await docs({ colorScheme: 'dark', viewport: { width: 360, height: 740 } });
  await dark.evaluate(() => { for (const e of document.querySelectorAll('#predict details')) e.open = true; });
  const [wide, seen] = await dark.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= seen, `${wide} pixels wide on ${seen}`);
  await accessible(dark, 'dark');
  await dark.finish();
});
