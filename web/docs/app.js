// The API page: the contract of this server, drawn. Talks to this server only: GET /openapi.json, and what is tried.
import { json, markdown, node, resolve, schemaOf, setContract, withCopy } from './parts.js';
import { trial } from './try.js';

const $ = (id) => document.getElementById(id);

function table(caption, heads, rows) {
  return node('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': caption },
    node('table', {},
      node('thead', {}, node('tr', {}, ...heads.map((head) => node('th', { scope: 'col' }, head)))),
      node('tbody', {}, ...rows.map((cells) => node('tr', {}, ...cells.map((cell) => node('td', {}, cell)))))));
}

const kind = (schema = {}) => [
  [schema.type ?? ''].flat().join(' or '),
  schema.enum && `one of ${schema.enum.join(', ')}`,
  schema.minimum !== undefined && `from ${schema.minimum}`,
  schema.maximum !== undefined && `to ${schema.maximum}`,
  schema.default !== undefined && `default ${schema.default}`,
].filter(Boolean).join(', ');

function parameters(list, about) {
  if (!list.length) return [];
  const rows = list.map((p) => [
    node('span', {}, node('code', {}, p.name), p.required ? ' (required)' : ''),
    p.in,
    kind(resolve(p.schema)),
    node('span', {}, ...markdown(p.description), ...(p.example === undefined ? [] : [node('p', {}, 'Example: ', node('code', {}, String(p.example)))])),
  ]);
  return [node('h4', {}, 'Parameters'), table(`Parameters of ${about}`, ['Name', 'In', 'Value', 'Meaning'], rows)];
}

/** Each media type: its schema and its examples. */
function contents(content, about) {
  return Object.entries(content ?? {}).flatMap(([type, { schema, examples }]) => [
    node('h5', {}, type),
    schemaOf(schema),
    ...Object.values(examples ?? {}).map(resolve).map(({ summary, value }) => node('details', {},
      node('summary', {}, `Example${summary ? `: ${summary}` : ''}`),
      withCopy(`Example of ${type}, ${about}`, typeof value === 'string' ? value : json(value)))),
  ]);
}

function answer(status, response, about) {
  const { description, headers, content } = resolve(response);
  const described = Object.entries(headers ?? {}).map(([name, header]) => {
    const { description: text, required } = resolve(header);
    return node('li', {}, node('code', {}, name), required ? '' : ' (sometimes)', ...markdown(text));
  });
  return node('details', { class: 'answer', 'data-status': status },
    node('summary', {}, node('strong', {}, status), ` ${description.trim()}`),
    ...(described.length ? [node('h5', {}, 'Headers'), node('ul', { class: 'schema' }, ...described)] : []),
    ...contents(content, `${status} of ${about}`));
}

/** A path, which may break after a slash and nowhere else. */
const breakable = (path) => path.split(/(?<=\/)/).flatMap((step, n) => (n ? [node('wbr'), step] : [step]));

function operation(path, method, spec) {
  const about = `${method.toUpperCase()} ${path}`;
  const list = (spec.parameters ?? []).map(resolve);
  const body = spec.requestBody && resolve(spec.requestBody);
  return node('article', { class: 'operation panel', id: spec.operationId, 'aria-labelledby': `${spec.operationId}-title` },
    node('h3', { id: `${spec.operationId}-title` }, node('span', { class: 'method' }, method.toUpperCase()), node('code', {}, ...breakable(path))),
    node('p', {}, node('strong', {}, spec.summary)),
    ...markdown(spec.description),
    node('div', { class: 'sides' },
      node('div', {}, ...parameters(list, about), ...(body ? [node('h4', {}, 'Body'), ...markdown(body.description), ...contents(body.content, about)] : [])),
      node('div', {}, node('h4', {}, 'Answers'), ...Object.entries(spec.responses).map(([status, response]) => answer(status, response, about)))),
    trial(path, method, spec.operationId, list, body));
}

/** Whether an operation only hands out a file of the pages. */
const isFile = (path) => /^\/(console\/.*|docs(\/.*)?)?$/.test(path);

function group(name, description, operations) {
  const id = `tag-${name.replace(/\W/g, '-')}`;
  $('operations-list').append(node('h2', {}, name), node('ul', {}, ...operations.map(([path, method, spec]) =>
    node('li', {}, node('a', { href: `docs#${spec.operationId}` }, `${method.toUpperCase()} `, ...breakable(path))))));
  return node('section', { 'aria-labelledby': id }, node('h2', { id }, name), node('p', { class: 'hint' }, description), ...operations.map((one) => operation(...one)));
}

function draw(contract) {
  setContract(contract);
  $('version').textContent = `Version ${contract.info.version}, OpenAPI ${contract.openapi}`;
  $('version').dataset.state = 'ready';
  $('about').append(node('details', {}, node('summary', {}, 'What all requests have in common'), ...markdown(contract.info.description)));
  const all = Object.entries(contract.paths).flatMap(([path, item]) => Object.entries(item).map(([method, spec]) => [path, method, spec]));
  for (const { name, description } of contract.tags) {
    const operations = all.filter(([path, , spec]) => spec.tags?.includes(name) && !isFile(path));
    if (operations.length) $('operations').append(group(name, description, operations));
  }
  const others = Object.entries(contract['x-other-requests'] ?? {});
  $('operations').append(node('section', { id: 'others', 'aria-labelledby': 'others-title' },
    node('h2', { id: 'others-title' }, 'other requests'),
    node('article', { class: 'operation panel', 'aria-label': 'Answers to other requests' },
      ...others.map(([name, response]) => answer(name.replaceAll('-', ' '), response, name)))));
  const files = node('details', { id: 'files', class: 'panel' }, node('summary', {}, 'The files of these pages'));
  files.append(group('pages', 'What a browser fetches; no client needs it.', all.filter(([path]) => isFile(path))));
  $('operations').append(files);
  jump();
}

/** Shows what the address names, which was not there when the page came, or lies in a part that is closed. */
function jump() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const closed = target.closest('details');
  if (closed) closed.open = true;
  target.scrollIntoView();
}

/** Leaves the operations that have all words of the filter somewhere in them. */
function filter() {
  const words = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const articles = [...$('operations').querySelectorAll('article[id]')];
  for (const article of articles) {
    const text = article.textContent.toLowerCase();
    article.hidden = !words.every((word) => text.includes(word));
    $('operations-list').querySelector(`a[href="docs#${article.id}"]`).parentElement.hidden = article.hidden;
  }
  for (const section of $('operations').querySelectorAll('section')) section.hidden = words.length > 0 && !section.querySelector('article[id]:not([hidden])');
  for (const heading of $('operations-list').querySelectorAll('h2')) heading.hidden = !heading.nextElementSibling.querySelector('li:not([hidden])');
  const left = articles.filter((article) => !article.hidden && !article.closest('#files')).length;
  $('found').textContent = words.length ? `${left} of ${articles.length} operations` : '';
}

$('settings').addEventListener('submit', (event) => event.preventDefault());
$('filter').addEventListener('input', filter);
addEventListener('hashchange', jump);
try {
  const response = await fetch('openapi.json');
  if (!response.ok) throw new Error(`status ${response.status}`);
  draw(await response.json());
} catch (error) {
  $('version').textContent = 'The contract could not be read.';
  $('about').append(node('p', { class: 'error', role: 'alert' }, `GET /openapi.json: ${error.message}`));
}
