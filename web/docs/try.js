// Sending what an operation takes to this server, and showing what comes back.
import { REQUESTS, codePanel, requestOf } from '../console/code.js';
import { json, node, resolve, withCopy } from './parts.js';

/** Answers longer than this are cut when shown. */
const SHOWN = 200_000;

function field(id, label, control) {
  control.id = id;
  return node('div', { class: 'field' }, node('label', { for: id }, label), control);
}

function parameterField(operation, parameter) {
  const { enum: choices } = resolve(parameter.schema) ?? {};
  const id = `${operation}-${parameter.in}-${parameter.name}`;
  const path = parameter.in === 'path';
  const control = choices
    ? node('select', {}, node('option', { value: '' }, 'not sent'), ...choices.map((choice) => node('option', {}, choice)))
    : node('input', { type: 'text', autocomplete: 'off', value: path ? parameter.example : undefined, required: path ? '' : undefined });
  return [parameter, control, field(id, `${parameter.name} (${parameter.in})`, control)];
}

/** How a body can be given: the media type, its control, and the body from it. */
function bodyForms(operation, body) {
  return Object.entries(body?.content ?? {}).map(([type, { examples }]) => {
    const id = `${operation}-body-${type.replace(/[^a-z]/g, '-')}`;
    if (type === 'application/json') {
      const [first] = Object.values(examples ?? {}).map(resolve);
      const control = node('textarea', { spellcheck: 'false' }, first ? json(first.value) : '');
      return { type, field: field(id, 'JSON', control), send: () => [control.value, type] };
    }
    const several = type === 'multipart/form-data';
    const control = node('input', { type: 'file', ...(several ? { multiple: '' } : {}) });
    const send = () => {
      if (!several) return [control.files[0] ?? '', control.files[0]?.type || 'application/octet-stream'];
      const form = new FormData();
      for (const file of control.files) form.append('image', file);
      // The browser writes the boundary.
      return [form, undefined];
    };
    return { type, field: field(id, several ? 'Pictures' : 'File', control), send, file: control };
  });
}

async function shown(response) {
  const type = response.headers.get('content-type') ?? '';
  const bytes = await response.arrayBuffer();
  if (!bytes.byteLength) return '(no body)';
  if (type.startsWith('application/octet-stream')) return `(${bytes.byteLength} bytes)`;
  const text = new TextDecoder().decode(bytes);
  const pretty = /json/.test(type) ? json(JSON.parse(text)) : text;
  return pretty.length > SHOWN ? `${pretty.slice(0, SHOWN)}\n… ${pretty.length - SHOWN} characters more` : pretty;
}

/** The form that tries an operation. */
export function trial(path, method, operation, parameters, body) {
  const fields = parameters.map((parameter) => parameterField(operation, parameter));
  const forms = bodyForms(operation, body);
  const choice = node('select', {}, ...forms.map(({ type }) => node('option', {}, type)));
  const bodyPlace = node('div');
  const preview = node('img', { class: 'preview', alt: 'The picture that is sent', hidden: '' });
  const output = node('div', { class: 'result', 'aria-live': 'polite' });
  const chosen = () => forms.find(({ type }) => type === choice.value);
  const show = () => {
    const file = chosen()?.file?.files[0];
    if (preview.src) URL.revokeObjectURL(preview.src);
    preview.hidden = !file;
    if (file) preview.src = URL.createObjectURL(file);
    else preview.removeAttribute('src');
  };
  const choose = () => { bodyPlace.replaceChildren(chosen()?.field ?? ''); show(); };
  choice.addEventListener('change', choose);
  preview.addEventListener('error', () => { preview.hidden = true; });
  for (const { file } of forms) file?.addEventListener('change', show);
  if (forms.length) choose();

  /** The request as it stands in the form: its path, headers and body. */
  function request() {
    const headers = {};
    const query = new URLSearchParams();
    let place = path;
    for (const [{ name, in: where }, { value }] of fields) {
      if (where === 'path') place = place.replace(`{${name}}`, encodeURIComponent(value));
      else if (value !== '' && where === 'query') query.set(name, value);
      else if (value !== '' && where === 'header') headers[name] = value;
    }
    return { path: `${place.slice(1)}${query.size ? `?${query}` : ''}`, headers };
  }

  function asCode(language) {
    const form = chosen();
    const names = [...form?.file?.files ?? []].map(({ name }) => name);
    const files = form?.file && (names.length ? names : ['photo.jpg']);
    return requestOf(language, {
      ...request(), method: method.toUpperCase(), files, form: form?.type === 'multipart/form-data', body: form && !form.file ? form.send()[0] : undefined,
    });
  }
  const code = codePanel(Object.fromEntries(Object.keys(REQUESTS).map((name) => [name, () => asCode(name)])), `Request of ${operation} as code`);

  const send = async () => {
    const { path: place, headers: more } = request();
    const headers = new Headers(more);
    const key = document.getElementById('key').value.trim();
    if (key) headers.set('authorization', `Bearer ${key}`);
    const [content, type] = chosen()?.send() ?? [];
    if (type) headers.set('content-type', type);
    output.replaceChildren(node('p', { class: 'note' }, 'Sending …'));
    try {
      const began = performance.now();
      const response = await fetch(new URL(place, new URL('.', document.baseURI)), { method: method.toUpperCase(), headers, body: content });
      const text = await shown(response);
      const took = performance.now() - began;
      output.replaceChildren(
        node('p', { class: response.ok ? 'note' : 'error' }, `${response.status} ${response.statusText} in ${took.toFixed(1)} ms`),
        withCopy(`Body of the answer of ${operation}`, text, 'body'),
        node('details', {}, node('summary', {}, 'Headers'),
          withCopy(`Headers of the answer of ${operation}`, [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n'), 'headers')));
    } catch {
      output.replaceChildren(node('p', { class: 'error', role: 'alert' },
        'There was no answer: the server cannot be reached, or a header or the key has a character that it cannot have.'));
    }
  };
  const form = node('form', {},
    node('div', { class: 'fields' }, ...fields.map(([, , label]) => label),
      forms.length ? field(`${operation}-type`, 'Send as', choice) : ''),
    bodyPlace, preview,
    node('p', { class: 'buttons' }, node('button', { type: 'submit' }, 'Send')));
  form.addEventListener('submit', (event) => { event.preventDefault(); send(); });
  for (const kind of ['input', 'change']) form.addEventListener(kind, code.update);
  const details = node('details', { class: 'try' }, node('summary', {}, `Try ${method.toUpperCase()} ${path}`), form,
    node('div', { class: 'sides' }, node('div', {}, node('h4', {}, 'Request'), code.element), node('div', {}, node('h4', {}, 'Answer'), output)));
  details.addEventListener('toggle', code.update);
  return details;
}
