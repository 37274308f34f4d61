// What the API page is put together from: elements, texts, schemas. Text from the contract goes in as text, never as markup.

import { copyText, say } from '../console/dom.js';

let contract = {};
/** The contract that references are looked up in. */
export const setContract = (value) => { contract = value; };

/** An element with attributes and children; strings become text. */
export function node(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== undefined && child !== ''));
  return element;
}

/** JSON to be read: short lists of plain values stay on one line. */
export const json = (value) => JSON.stringify(value, null, 2)
  .replace(/\[\n\s+([^[\]{}]*?)\n\s+\]/g, (whole, inner) => {
    const line = `[${inner.replace(/\s*\n\s*/g, ' ')}]`;
    return line.length <= 100 ? line : whole;
  });

/** Follows `$ref`; what stands beside it wins. */
export function resolve(value) {
  if (!value?.$ref) return value;
  const { $ref, ...beside } = value;
  const steps = $ref.slice(2).split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  return { ...resolve(steps.reduce((at, step) => at?.[step], contract)), ...beside };
}

/** `code` and **strong** of one paragraph. */
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) => {
    if (part.startsWith('`')) return node('code', {}, part.slice(1, -1));
    if (part.startsWith('**')) return node('strong', {}, part.slice(2, -2));
    return part;
  });
}

/** The little Markdown that the contract's descriptions have: paragraphs, code, strong. */
export const markdown = (text) => (text ?? '').trim().split(/\n\s*\n/).filter(Boolean)
  .map((paragraph) => node('p', {}, ...inline(paragraph.replace(/\s*\n\s*/g, ' '))));

const LIMITS = {
  minimum: 'at least', exclusiveMinimum: 'more than', maximum: 'at most', minLength: 'characters at least', maxLength: 'characters at most',
  minItems: 'elements at least', maxItems: 'elements at most', pattern: 'like', format: 'format', contentEncoding: 'encoding',
  contentMediaType: 'media type', default: 'default', const: 'always',
};

function kind(schema) {
  const type = [schema.type ?? []].flat().join(' or ');
  const limits = Object.entries(LIMITS).filter(([key]) => schema[key] !== undefined)
    .map(([key, word]) => `${word} ${typeof schema[key] === 'string' ? schema[key] : JSON.stringify(schema[key]).replaceAll(',', ', ')}`);
  if (schema.enum) limits.push(`one of ${schema.enum.join(', ')}`);
  return [type, ...limits].filter(Boolean).join('; ');
}

/** A schema as a list item with what is in it; `seen` are the references on the way here, so that it ends. */
function item(label, schema, must, seen) {
  const name = schema?.$ref?.split('/').pop();
  const whole = resolve(schema) ?? {};
  const ends = name && seen.includes(schema.$ref);
  const deeper = name ? [...seen, schema.$ref] : seen;
  return node('li', {},
    label ? node('code', {}, label) : '', label ? ' ' : '',
    node('span', { class: 'kind' }, [name, kind(whole)].filter(Boolean).join(': ')),
    must ? ' ' : '', must ? node('span', { class: 'must' }, 'required') : '',
    ...markdown(whole.description),
    ends ? '' : inside(whole, deeper) ?? '');
}

function inside(schema, seen) {
  const items = [
    ...Object.entries(schema.properties ?? {}).map(([key, value]) => item(key, value, schema.required?.includes(key), seen)),
    ...(schema.items ? [item('each element', schema.items, false, seen)] : []),
    ...['oneOf', 'anyOf', 'allOf'].flatMap((word) => (schema[word] ?? [])
      .filter((part) => part.$ref || part.type || part.properties)
      .map((part) => item({ oneOf: 'either', anyOf: 'or', allOf: 'with' }[word], part, false, seen))),
  ];
  return items.length ? node('ul', { class: 'schema' }, ...items) : undefined;
}

/** A schema, closed at first. */
export const schemaOf = (schema) => (schema
  ? node('details', {}, node('summary', {}, 'Schema'), node('ul', { class: 'schema' }, item('', schema, false, [])))
  : '');

/** Text in a box, with a button that copies it. */
export function withCopy(label, text, css) {
  const copy = node('button', { type: 'button', class: 'copy' }, 'Copy');
  copy.addEventListener('click', async () => {
    copy.textContent = await copyText(text) ? 'Copied' : 'Copying was refused';
    say(copy.textContent);
    setTimeout(() => { copy.textContent = 'Copy'; }, 2000);
  });
  return node('div', { class: 'copied' }, copy, node('pre', { tabindex: 0, role: 'group', 'aria-label': label, class: css }, text));
}
