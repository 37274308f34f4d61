// What may stand between the page and the server: forwards requests, and lies where it is told to.
//
// FER_WEB: a folder; the page's files then come from there instead of from the program, so that they need not be compiled in.
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { extname, join } from 'node:path';

const HTML = { 'content-type': 'text/html' };
const page = (status, headers = {}) => (req, res) => {
  req.resume();
  res.writeHead(status, { ...HTML, ...headers }).end(`<html><title>${status}</title>`);
};
const problem = (status, code, headers = {}) => (req, res) => {
  req.resume();
  const body = { type: `urn:fer-serve:problem:${code}`, title: `Title of ${code}.`, status, detail: 'a detail', code, request_id: '1' };
  res.writeHead(status, { 'content-type': 'application/problem+json', ...headers }).end(JSON.stringify(body));
};
/** An answer with that JSON. */
export const answers = (value) => (req, res) => {
  req.resume();
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
};

/** What a request may meet: each answers it instead of the server, or spoils what the server answers. */
export const FAULTS = {
  html200: page(200),
  empty: (req, res) => { req.resume(); res.writeHead(200).end(); },
  lacking: answers({ width: 10, height: 10, faces: [{ box: { x: 1 } }] }),
  unauthorized: problem(401, 'unauthorized'),
  login: page(401),
  limited: problem(429, 'rate_limited', { 'retry-after': '1' }),
  unavailable: problem(503, 'overloaded', { 'retry-after': '1' }),
  draining: problem(503, 'draining', { 'retry-after': '1' }),
  starting: problem(503, 'not_ready', { 'retry-after': '1' }),
  internal: problem(500, 'internal'),
  deadline: problem(504, 'deadline_exceeded'),
  gateway: page(502),
  gatewayTimeout: page(504),
  tooLarge: page(413),
  reset: (req) => req.socket.resetAndDestroy(),
  stall: () => {},
  half: (req, res, forward) => forward((answer) => {
    const chunks = [];
    answer.on('data', (chunk) => chunks.push(chunk));
    answer.on('end', () => {
      const body = Buffer.concat(chunks);
      res.writeHead(answer.statusCode, { ...answer.headers, 'content-length': body.length });
      res.write(body.subarray(0, body.length >> 1), () => res.socket.destroy());
    });
  }),
};
const LABELS = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
let turn = 0;
/** An answer of `/faces` without a network: one face of that label. */
const faceOf = (emotion, confidence, { width = 64, height = 64, delay = 0, model = { name: 'fer2013', version: '1' } } = {}) => {
  const probabilities = Object.fromEntries(LABELS.map((label) => [label, label === emotion ? confidence : (1 - confidence) / 6]));
  const faces = [{ box: { x: 8, y: 8, width: 40, height: 40 }, score: 9, emotion, confidence, probabilities }];
  return (req, res) => { setTimeout(() => answers({ width, height, faces, model })(req, res), delay); };
};
/** The same, of each label in turn; every other one is unsure. */
export const answering = (more) => faceOf(LABELS[turn % 7], (turn += 1) % 2 ? 0.4 : 0.9, more);
/** The next answer of `answering` is of the first label. */
export const fromTheFirst = () => { turn = 0; };
/** An error of the server with that code. */
export const answerWith = problem;

const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.html': 'text/html', '.jpg': 'image/jpeg' };

/** The file of the folder FER_WEB for a path, as the routes of the server have them. */
function fileOf(path) {
  if (!process.env.FER_WEB) return undefined;
  const names = { '/': 'index.html', '/docs': 'docs/index.html' };
  const name = names[path] ?? (/^\/console\/[\w.]+$/.test(path) ? path.slice(9) : /^\/docs\/[\w.]+$/.test(path) ? path.slice(1) : undefined);
  if (!name) return undefined;
  return [name, `samples/${name}`].map((one) => join(process.env.FER_WEB, one)).find((one) => existsSync(one) && statSync(one).isFile());
}

/** Size of the sample that the page has answered when it is opened, in bytes. */
const SAMPLE = readFileSync(new URL('../../web/samples/astronaut.jpg', import.meta.url)).length;

/**
 * Starts a proxy: { origin, fault, sample, seen, stop }. `fault` is a function (req, res, forward), called for each request; where it returns
 * nothing the request is forwarded. Unless `sample` is set, the page's own sample is answered here: an unoptimised server takes seconds.
 */
export async function startProxy(target) {
  const proxy = { fault: undefined, sample: false, seen: [] };
  const server = createServer((req, res) => {
    const path = new URL(req.url, target()).pathname;
    proxy.seen.push(`${req.method} ${path}`);
    const forward = (take) => {
      const { hostname, port } = new URL(target());
      const there = request({ hostname, port, path: req.url, method: req.method, headers: req.headers }, (answer) => {
        if (take) return take(answer);
        res.writeHead(answer.statusCode, answer.headers);
        answer.pipe(res);
      });
      there.on('error', () => res.destroy());
      res.on('close', () => there.destroy());
      req.pipe(there);
    };
    const isSample = path === '/faces' && !proxy.sample && Number(req.headers['content-length']) === SAMPLE;
    const fault = proxy.fault?.(req, path) ?? (isSample ? faceOf('happy', 0.97, { width: 512, height: 512 }) : undefined);
    if (fault) return fault(req, res, forward);
    const file = fileOf(path);
    if (!file) return forward();
    // The same policy as the program's own files.
    const there = request(`${target()}/`, { method: 'HEAD' }, (answer) => {
      const { 'content-length': _, ...headers } = answer.headers;
      res.writeHead(200, { ...headers, 'content-type': TYPES[extname(file)] });
      createReadStream(file).pipe(res);
    });
    there.on('error', () => res.destroy());
    there.end();
  });
  await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
  proxy.origin = `http://127.0.0.1:${server.address().port}`;
  proxy.stop = () => new Promise((done) => { server.close(done); server.closeAllConnections(); });
  return proxy;
}
