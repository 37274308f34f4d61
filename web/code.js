// The very request as code, and a panel that shows code with a button to copy it.
import { $, button, copyText, make, say, wait } from './dom.js';
import { BASE } from './api.js';

const shell = (value) => `'${value.replaceAll("'", "'\\''")}'`;
const text = (value) => JSON.stringify(value);
const OCTETS = 'application/octet-stream';

/** A name for curl, which reads quotes, commas and semicolons in the name of a form's file, and for the shell. */
const formFile = (name) => (/^[\w./-]+$/.test(name) ? `image=@${name}` : shell(`image=@"${name.replace(/["\\]/g, '\\$&')}"`));
const headerLines = ({ headers = {}, key }) => Object.entries({ ...headers, ...(key ? { Authorization: 'Bearer YOUR-KEY' } : {}) });

function curl(request) {
  const { method = 'POST', files = [], form = files.length > 0, body } = request;
  const parts = headerLines(request).map(([name, value]) => `-H ${shell(`${name}: ${value}`)}`);
  if (body !== undefined) parts.push(`-H ${shell('Content-Type: application/json')}`, `--data ${shell(body)}`);
  else if (form) parts.push(...files.map((name) => `-F ${formFile(name)}`));
  else if (files.length) parts.push(`-H ${shell(`Content-Type: ${OCTETS}`)}`, `--data-binary ${shell(`@${files[0]}`)}`);
  else if (method !== 'GET') parts.push(`-X ${method}`);
  return ['curl', ...[...parts, shell(BASE + request.path)].map((part) => `  ${part}`)].join(' \\\n').replace('curl \\\n  ', 'curl ');
}

function python(request) {
  const { method = 'POST', files = [], form, body } = request;
  const pairs = headerLines(request);
  const url = text(BASE + request.path);
  const dictionary = () => (pairs.length ? `\n    headers={${pairs.map(([name, value]) => `${text(name)}: ${text(value)}`).join(', ')}},` : '');
  if (form) {
    const parts = files.map((name) => `("image", open(${text(name)}, "rb"))`).join(', ');
    return `import requests\n\nanswer = requests.post(\n    ${url},${dictionary()}\n    files=[${parts}],\n)\nprint(answer.json())`;
  }
  let data = '';
  if (body !== undefined) data = `\n    data=${text(body)}.encode(),`;
  else if (files.length) data = `\n    data=open(${text(files[0])}, "rb").read(),`;
  if (data) pairs.push(['Content-Type', body === undefined ? OCTETS : 'application/json']);
  return `import urllib.request

request = urllib.request.Request(
    ${url},
    method=${text(method)},${data}${dictionary()}
)
print(urllib.request.urlopen(request).read().decode())`;
}

function javascript(request) {
  const { method = 'POST', files = [], form, body } = request;
  const pairs = headerLines(request);
  const lines = [];
  if (files.length) lines.push("import { readFile } from 'node:fs/promises';", '');
  let data = '';
  if (form) {
    lines.push('const body = new FormData();', ...files.map((name) => `body.append('image', new Blob([await readFile(${text(name)})]));`));
    data = '\n  body,';
  } else if (body !== undefined) data = `\n  body: ${text(body)},`;
  else if (files.length) data = `\n  body: await readFile(${text(files[0])}),`;
  if (data && !form) pairs.push(['Content-Type', body === undefined ? OCTETS : 'application/json']);
  const headers = pairs.length ? `\n  headers: { ${pairs.map(([name, value]) => `${text(name)}: ${text(value)}`).join(', ')} },` : '';
  const call = `const response = await fetch(${text(BASE + request.path)}, {\n  method: ${text(method)},${headers}${data}\n});`;
  return [...lines, call, 'console.log(await response.text());'].join('\n');
}

/** Languages, and the code for a request: { method, path, headers, files, form, body }. */
export const REQUESTS = { curl, Python: python, JavaScript: javascript };

export const requestOf = (language, request) => REQUESTS[language]({ key: $('key').value !== '', ...request });

/**
 * A panel with a button for each view and one that copies: `views` is { name: () => text or element }. `about` names it
 * for a screen reader. Gives { element, update, names(list) }.
 */
export function codePanel(views, about) {
  const names = Object.keys(views);
  let current = names[0];
  const pre = make('pre', { tabindex: '0', role: 'region', 'aria-label': about });
  const other = make('div', { class: 'other' });
  const copy = button('Copy', async () => {
    const done = await copyText(pre.textContent);
    copy.textContent = done ? 'Copied' : 'Copying was refused';
    say(copy.textContent);
    await wait(2000);
    copy.textContent = 'Copy';
  }, { class: 'copy' });
  const buttons = names.map((name) => button(name, () => { current = name; update(); }));
  function update() {
    buttons.forEach((one, n) => one.setAttribute('aria-pressed', names[n] === current));
    const content = views[current]();
    const isText = typeof content === 'string';
    pre.hidden = copy.hidden = !isText;
    other.hidden = isText;
    pre.textContent = isText ? content : '';
    other.replaceChildren(...(isText ? [] : [content]));
  }
  const element = make('div', { class: 'code' }, make('div', { class: 'views', role: 'group', 'aria-label': about }, ...buttons, copy), pre, other);
  return { element, update };
}
