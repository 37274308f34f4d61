// The pages behind nginx with TLS, under a path prefix: every address is relative.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { finished, freePort, launch, origin, piece, proxy, startServer, stopServer } from './support.mjs';

const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find(existsSync);
const missing = !NGINX && 'no nginx: apt-get install nginx-light';
if (missing) console.error(`${'#'.repeat(70)}\n# SKIPPED: the pages behind a path prefix were not tested: ${missing}\n${'#'.repeat(70)}`);
if (missing && process.env.FER_BROWSER_TEST === 'required') throw new Error(missing);

let browser;
let folder;
let nginx;
let base;

before(async () => {
  if (missing) return;
  browser = await launch();
  await startServer();
  proxy.sample = true;
  folder = mkdtempSync(join(tmpdir(), 'fer-prefix-'));
  // The workers of an nginx that root starts are another user.
  chmodSync(folder, 0o777);
  const port = await freePort();
  base = `https://127.0.0.1:${port}/lab/fer`;
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1',
    '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')], { stdio: 'ignore' });
  writeFileSync(join(folder, 'nginx.conf'), `
    daemon off; pid ${folder}/pid; error_log ${folder}/error.log;
    events {}
    http {
      access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/temp;
      fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
      server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;
        client_max_body_size 20m;
        location /lab/fer/ { proxy_pass ${origin}/; }
        location / { return 404; }
      }
    }`);
  nginx = spawn(NGINX, ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'ignore' });
});

after(async () => {
  nginx?.kill();
  await browser?.close();
  if (!missing) await stopServer();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** A page that asks for nothing outside the prefix and meets no error. */
async function visit(path) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1200, height: 900 } });
  const page = await context.newPage();
  const wrong = [];
  page.on('request', (r) => { if (!r.url().startsWith(`${base}/`) && !r.url().startsWith('blob:')) wrong.push(r.url()); });
  page.on('response', (r) => { if (r.status() >= 400) wrong.push(`${r.status()} ${r.url()}`); });
  page.on('pageerror', (error) => wrong.push(String(error)));
  await page.goto(base + path);
  page.finish = async () => { assert.deepEqual(wrong, []); await context.close(); };
  return page;
}

test('the page works under a prefix', { skip: missing }, async () => {
  const page = await visit('/');
  await page.locator('#sample .verdict', { hasText: 'happy' }).waitFor();
  assert.ok((await page.locator('#intro-request pre').innerText()).includes(`${base}/faces`));
  await page.setInputFiles('#files', { name: 'small.png', mimeType: 'image/png', buffer: await piece(browser, 'image/png', 0, 0, 16, 16, 16, 16) });
  await finished(page, 1);
  for (const [link, words] of [['Model', 'fer2013, version 1'], ['Camera', 'Camera'], ['Video', 'Video']]) {
    await page.getByRole('link', { name: link, exact: true }).first().click();
    await page.getByRole('heading', { level: 1, name: words }).waitFor();
  }
  await page.finish();
});

test('the API page works under a prefix, and what it sends goes there', { skip: missing }, async () => {
  const page = await visit('/docs');
  await page.getByText(/^Version /).waitFor();
  await page.locator('#model .try > summary').click();
  await page.locator('#model').getByRole('button', { name: 'Send' }).click();
  await page.locator('#model .result pre.body').waitFor();
  assert.ok((await page.getByRole('region', { name: 'Request of model as code' }).innerText()).includes(`${base}/model`));
  await page.getByRole('link', { name: 'Photos', exact: true }).click();
  await page.waitForURL(`${base}/#photos`);
  await page.finish();
});

test('the contract names its server relative to itself', { skip: missing }, async () => {
  const page = await visit('/');
  const [{ url }] = await page.evaluate(async () => (await (await fetch('openapi.json')).json()).servers);
  // As a client resolves it: the address of the document, then the path of an operation.
  assert.equal(new URL(`${url}/predict`, `${base}/openapi.json`).href, `${base}/predict`);
  await page.finish();
  assert.equal(readFileSync(join(folder, 'error.log'), 'utf8').includes('[emerg]'), false);
});
