// What the tests of the console share: the server, the browser, pictures, a page that remembers what it should not do.
//
// FER_SERVE: the program to test. CHROMIUM: the browser. FER_WEB: see proxy.mjs.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import { startProxy } from './proxy.mjs';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
// As seen on a busy machine; nothing is measured by it.
const PATIENCE = Number(process.env.PATIENCE ?? 300_000);

/** What Chromium itself writes for each request that fails. */
export const FAILING = [/Failed to load resource/, /ERR_/];

let server;
/** Where the server itself is. */
export let direct;
/** Between the page and the server; its `fault` says what requests meet. */
export let proxy;
/** Where the page is; once the server runs. */
export let origin;

/** A port nobody listens on at the moment. */
export const freePort = () => new Promise((done) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => done(port));
  });
});

export async function startServer(...flags) {
  const port = await freePort();
  direct = `http://127.0.0.1:${port}`;
  proxy ??= await startProxy(() => direct);
  origin = proxy.origin;
  const args = ['--listen', `127.0.0.1:${port}`, '--drain-delay', '0s', '--request-timeout', '10m', '--log', 'warn', ...flags];
  server = spawn(process.env.FER_SERVE, args, { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  const end = Date.now() + PATIENCE;
  for (;;) {
    const ready = await fetch(`${direct}/readyz`).then((r) => r.ok, () => false);
    if (ready) return;
    assert.ok(server.exitCode === null && Date.now() < end, 'the server does not get ready');
    await new Promise((done) => setTimeout(done, 100));
  }
}

export async function stopServer() {
  await haltServer();
  await proxy?.stop();
  proxy = undefined;
}

/** Stops the server and leaves the proxy. */
export async function haltServer() {
  if (!server || server.exitCode !== null) return;
  const gone = new Promise((done) => server.once('exit', done));
  server.kill('SIGTERM');
  await gone;
}

/**
 * A piece of the photo that the rustface crate carries, as an image file of that type: small, because the
 * server may be unoptimised.
 */
export async function piece(browser, type, x, y, width, height, toWidth, toHeight) {
  const page = await browser.newPage();
  const url = await page.evaluate(async ([photo, type, ...cut]) => {
    const image = await createImageBitmap(await (await fetch(photo)).blob());
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = cut.slice(4);
    canvas.getContext('2d').drawImage(image, ...cut.slice(0, 4), 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL(type, 0.95);
  }, [`data:image/png;base64,${readFileSync(carriedPhoto()).toString('base64')}`, type, x, y, width, height, toWidth, toHeight]);
  await page.close();
  return Buffer.from(url.split(',')[1], 'base64');
}

/** The photo that the rustface crate carries. */
function carriedPhoto() {
  const text = execFileSync('cargo', ['metadata', '--format-version=1', '--locked'], { cwd: ROOT, maxBuffer: 1 << 28 });
  const { manifest_path } = JSON.parse(text).packages.find((p) => p.name === 'rustface');
  return join(dirname(manifest_path), 'test.png');
}

export function launch(...args) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream', ...args,
    ],
  });
}

/** A page that remembers everything it should not do; `says` is what it comes to say of the model. */
export async function open(browser, options = {}, says = /^Ready · /, expected = []) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  await context.grantPermissions(['clipboard-read', 'clipboard-write', 'camera'], { origin });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const wrong = [];
  page.expected = expected;
  page.on('pageerror', (error) => wrong.push(`uncaught: ${error}`));
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return;
    const text = message.text();
    if (!page.expected.some((pattern) => pattern.test(text))) wrong.push(`console: ${text}`);
  });
  page.on('request', (request) => {
    const { protocol, origin: to } = new URL(request.url());
    if (to !== origin && !['blob:', 'data:'].includes(protocol)) wrong.push(`asks ${request.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`));
  });
  page.finish = async () => {
    assert.deepEqual(wrong, []);
    await context.close();
  };
  await page.goto(`${origin}/`);
  await page.locator('#pill, #version', { hasText: says }).waitFor();
  return page;
}

export async function accessible(page, where) {
  // Colours on their way from one to another are neither: what moves is let come to rest.
  await page.evaluate(async () => {
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    await Promise.allSettled(document.getAnimations().map((a) => a.finished));
  });
  // Evaluated through the debugger, which the page's policy does not bind.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.map((v) => `${v.id}: ${v.help} at ${v.nodes.map((n) => n.target).join(', ')}`);
  assert.deepEqual(found, [], where);
}

/** The row of an image in the list. */
export const row = (page, name) => page.getByRole('option').filter({ has: page.locator('b', { hasText: new RegExp(`^${name.replace(/[^\w ]/g, '\\$&')}$`) }) });
/** Shows an image on the stage. */
export async function look(page, name) {
  await row(page, name).click();
  await page.getByRole('region', { name: 'Answer', exact: true }).getByRole('heading', { name, exact: true }).waitFor();
}
/** Waits until an image has its answer. */
export const answered = async (page, name) => {
  await look(page, name);
  await page.locator('#answer[data-state=done]').waitFor();
};
/** Waits until nothing waits any more; gives the text of the chips. */
export async function finished(page, n) {
  await page.locator('#progress-text', { hasText: new RegExp(`^${n} images?$`) }).waitFor();
  return page.locator('.chip:visible').allInnerTexts();
}
