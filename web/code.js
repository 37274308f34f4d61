// The very request as code, and a panel that shows code with a button to copy it.
import { $, button, copyText, make, say, wait } from './dom.js';
import { BASE } from './api.js';

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const text = (value) => JSON.stringify(value);

/** Languages, and the code that sends the file `name` to `path` of this server. */
export const REQUESTS = {
  curl: ({ path, name, key }) => ['curl', ...(key ? [`  -H 'authorization: Bearer YOUR-KEY'`] : []), `  -F image=@${plain(name)}`, `  ${shell(BASE + path)}`].join(' \\\n'),
  Python: ({ path, name, key }) => `import json, urllib.request

with open(${text(name)}, "rb") as file:
    request = urllib.request.Request(
        ${text(BASE + path)},
        data=file.read(),
        headers={"Content-Type": "application/octet-stream"${key ? ', "Authorization": "Bearer YOUR-KEY"' : ''}},
    )
print(json.load(urllib.request.urlopen(request)))`,
  JavaScript: ({ path, name, key }) => `import { readFile } from 'node:fs/promises';

const response = await fetch(${text(BASE + path)}, {
  method: 'POST',
  headers: { 'Content-Type': 'application/octet-stream'${key ? `, Authorization: 'Bearer YOUR-KEY'` : ''} },
  body: await readFile(${text(name)}),
});
console.log(await response.json());`,
};

/** curl reads quotes, commas and semicolons in the name of a form's file; the shell reads the rest. */
const plain = (name) => (/^[\w./-]+$/.test(name) ? name : shell(`"${name.replace(/["\\]/g, '\\$&')}"`));

export const requestOf = (language, more) => REQUESTS[language]({ key: $('key').value !== '', ...more });

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
