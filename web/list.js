// The list of images. Only the rows in view exist, so that thousands of images scroll as ten do.
import { $, make, percent, setText, verdict } from './dom.js';
import { items, shown } from './store.js';

// Height of a row, as in the style sheet, and side of its small picture, in pixels.
const ROW = 56;
const THUMB = 40;

const rows = new Map();
const space = make('div', { class: 'space', role: 'presentation' });
let selected;
let chosen = () => {};
// Decoding for small pictures, one at a time.
let decoding = Promise.resolve();

/** What stands under the name of an image: [group for its colour, words]. */
function summary({ state, result, error, expected }) {
  if (state === 'failed') return ['failed', error.words];
  if (state === 'sending') return ['none', 'sending …'];
  if (state === 'waiting') return ['none', 'waiting'];
  const [face, ...others] = result.faces;
  if (!face) return ['none', 'no face found'];
  const more = others.length ? ` +${others.length}` : '';
  const check = expected && expected !== face.emotion ? `, labelled ${expected}` : '';
  return [face.emotion, `${verdict(face)} ${percent(face.confidence, 0)}${more}${check}`];
}

function draw(item, at) {
  let row = rows.get(item.id);
  if (!row) {
    const canvas = make('canvas', { width: 2 * THUMB, height: 2 * THUMB });
    const [name, words] = [make('b'), make('span')];
    const element = make('div', { role: 'option', id: `row-${item.id}` }, canvas, make('span', { class: 'lines' }, name, words));
    element.addEventListener('click', () => select(item));
    name.textContent = item.name;
    row = { item, element, canvas, words };
    rows.set(item.id, row);
    space.append(element);
    thumbnail(row);
  }
  const { element, words } = row;
  const [group, text] = summary(item);
  setText(words, text);
  words.className = `dot tone-${group}`;
  element.style.transform = `translateY(${at * ROW}px)`;
  element.setAttribute('aria-selected', item === selected);
  element.setAttribute('aria-posinset', at + 1);
  element.setAttribute('aria-setsize', shown.items.length);
}

function thumbnail(row) {
  const { item, canvas } = row;
  const paint = () => {
    const { width, height } = item.thumb;
    const side = Math.min(width, height);
    canvas.getContext('2d').drawImage(item.thumb, (width - side) / 2, (height - side) / 2, side, side, 0, 0, canvas.width, canvas.height);
  };
  if (item.thumb) return paint();
  decoding = decoding.then(async () => {
    // The list may have been scrolled on.
    if (rows.get(item.id) !== row) return;
    item.thumb ??= await createImageBitmap(item.file, { resizeHeight: 2 * THUMB, resizeQuality: 'medium' }).catch(() => undefined);
    if (item.thumb) paint();
  });
}

/** Draws the rows in view. */
export function drawList() {
  const list = $('list');
  space.style.height = `${shown.items.length * ROW}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const visible = shown.items.slice(first, first + Math.ceil(list.clientHeight / ROW) + 9);
  const ids = new Set(visible.map((item) => item.id));
  for (const [id, { element }] of rows) {
    if (ids.has(id)) continue;
    element.remove();
    rows.delete(id);
  }
  visible.forEach((item, n) => draw(item, first + n));
  if (selected && rows.has(selected.id)) list.setAttribute('aria-activedescendant', `row-${selected.id}`);
  else list.removeAttribute('aria-activedescendant');
}

/** Keeps the selected row where it is on the screen while `change` changes the list above it. */
export function keepPlace(change) {
  const list = $('list');
  const before = shown.items.indexOf(selected);
  change();
  const after = shown.items.indexOf(selected);
  space.style.height = `${shown.items.length * ROW}px`;
  const inView = before >= 0 && before * ROW > list.scrollTop - ROW && before * ROW < list.scrollTop + list.clientHeight;
  if (inView && after >= 0 && after !== before) list.scrollTop += (after - before) * ROW;
  drawList();
}

export const selectedItem = () => selected;

export function select(item) {
  selected = item;
  const at = shown.items.indexOf(item);
  const list = $('list');
  if (at >= 0) {
    const top = at * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  }
  drawList();
  chosen(item);
}

/** The image that many rows further down. */
export function move(by) {
  const at = shown.items.indexOf(selected);
  const to = shown.items[Math.min(Math.max(at + by, 0), shown.items.length - 1)];
  if (to && to !== selected) select(to);
}

/** `onSelect(item)` follows each selection, `onRemove(item)` the Delete key. */
export function startList(onSelect, onRemove) {
  chosen = onSelect;
  const list = $('list');
  list.append(space);
  list.addEventListener('scroll', drawList, { passive: true });
  new ResizeObserver(drawList).observe(list);
  const page = () => Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
  const steps = {
    ArrowDown: () => 1, ArrowUp: () => -1, ArrowRight: () => 1, ArrowLeft: () => -1, PageDown: page, PageUp: () => -page(),
    Home: () => -items.length, End: () => items.length,
  };
  document.addEventListener('keydown', (event) => {
    const inList = event.target === list;
    if (event.ctrlKey || event.metaKey || event.altKey || list.closest('[hidden]')) return;
    // Anywhere on the page: to the left and to the right; all keys in the list itself.
    const free = inList || !event.target.closest('input, select, textarea, pre, summary, [role=listbox], [contenteditable]');
    const step = free && (inList || /^Arrow(Left|Right)$/.test(event.key)) && steps[event.key];
    if (step) {
      event.preventDefault();
      move(step());
    } else if (inList && event.key === 'Delete' && selected) {
      event.preventDefault();
      onRemove(selected);
    }
  });
}
