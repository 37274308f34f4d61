// The API page: the contract of this server, drawn. Talks to this server only: GET /openapi.json, and what is tried.
import { json, markdown, node, resolve, schemaOf, setContract } from './parts.js';
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
      node('pre', { tabindex: 0, role: 'group', 'aria-label': `Example of ${type}, ${about}` }, typeof value === 'string' ? value : json(value)))),
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

function operation(path, method, spec) {
  const about = `${method.toUpperCase()} ${path}`;
  const list = (spec.parameters ?? []).map(resolve);
  const body = spec.requestBody && resolve(spec.requestBody);
  return node('article', { class: 'operation', id: spec.operationId, 'aria-labelledby': `${spec.operationId}-title` },
    node('h3', { id: `${spec.operationId}-title` }, node('span', { class: 'method' }, method.toUpperCase()), node('code', {}, path)),
    node('p', {}, node('strong', {}, spec.summary)),
    ...markdown(spec.description),
    ...parameters(list, about),
    ...(body ? [node('h4', {}, 'Body'), ...markdown(body.description), ...contents(body.content, about)] : []),
    node('h4', {}, 'Answers'),
    ...Object.entries(spec.responses).map(([status, response]) => answer(status, response, about)),
    trial(path, method, spec.operationId, list, body));
}

function draw(contract) {
  setContract(contract);
  $('version').textContent = `Version ${contract.info.version}, OpenAPI ${contract.openapi}`;
  $('version').dataset.state = 'ready';
  $('about').append(...markdown(contract.info.description));
  for (const { name, description } of contract.tags) {
    const operations = Object.entries(contract.paths).flatMap(([path, item]) => Object.entries(item)
      .filter(([, spec]) => spec.tags?.includes(name)).map(([method, spec]) => [path, method, spec]));
    $('contents').append(node('h2', {}, name), node('ul', {}, ...operations.map(([path, method, spec]) =>
      node('li', {}, node('a', { href: `#${spec.operationId}` }, `${method.toUpperCase()} ${path}`)))));
    $('operations').append(node('section', { 'aria-labelledby': `tag-${name}` },
      node('h2', { id: `tag-${name}` }, name), node('p', { class: 'hint' }, description),
      ...operations.map((one) => operation(...one))));
  }
  const others = Object.entries(contract['x-other-requests'] ?? {});
  $('operations').append(node('section', { id: 'others', 'aria-labelledby': 'others-title' },
    node('h2', { id: 'others-title' }, 'other requests'),
    node('article', { class: 'operation', 'aria-label': 'Answers to other requests' },
      ...others.map(([name, response]) => answer(name.replaceAll('-', ' '), response, name)))));
  // The address may name an operation that was not there yet.
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

$('settings').addEventListener('submit', (event) => event.preventDefault());
try {
  const response = await fetch('openapi.json');
  if (!response.ok) throw new Error(`status ${response.status}`);
  draw(await response.json());
} catch (error) {
  $('version').textContent = 'The contract could not be read.';
  $('about').append(node('p', { class: 'error', role: 'alert' }, `GET /openapi.json: ${error.message}`));
}
