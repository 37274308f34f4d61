// The images of this visit, what is known of each, and which of them the list shows.
import { LABELS, SURE } from './dom.js';

/** In the order in which they were added: { id, name, file, options, state, result, error, expected }. */
export const items = [];
/** How many images are in each group. */
export const counts = new Map();
/** What the list shows: `filter` is a group or `all`. */
export const shown = { filter: 'all', sort: 'added', items: [] };

let nextId = 0;

export const isDone = (item) => item.state === 'done';

/** The groups that an image belongs to; the chips choose among them. */
function groupsOf({ state, result, expected }) {
  if (state === 'failed') return ['failed'];
  if (state !== 'done') return ['waiting'];
  const [first] = result.faces;
  if (!first) return expected ? ['no face', 'checked', 'wrong'] : ['no face'];
  const groups = [...new Set(result.faces.map((face) => face.emotion))];
  if (first.confidence < SURE) groups.push('unsure');
  if (expected) groups.push('checked', expected === first.emotion ? 'right' : 'wrong');
  return groups;
}

/** Counts an image where it belongs now; O(1), however many there are. */
export function regroup(item, groups = groupsOf(item)) {
  for (const group of item.groups) counts.set(group, counts.get(group) - 1);
  item.groups = groups;
  for (const group of groups) counts.set(group, (counts.get(group) ?? 0) + 1);
}

export const count = (group) => counts.get(group) ?? 0;
export const answeredCount = () => items.length - count('waiting');

export function create(files, options) {
  const created = files.map(({ file, name, expected }) => ({
    id: (nextId += 1), name, file, expected, options: { ...options }, state: 'waiting', groups: [],
  }));
  for (const item of created) {
    items.push(item);
    regroup(item);
  }
  return created;
}

export function discard(gone) {
  const ids = new Set(gone.map((item) => item.id));
  const kept = items.filter((item) => !ids.has(item.id));
  for (const item of gone) {
    regroup(item, []);
    item.thumb?.close();
  }
  items.splice(0, items.length, ...kept);
}

const least = (item) => (isDone(item) ? item.result.faces[0]?.confidence ?? 2 : 3);
const label = (item) => (isDone(item) && item.result.faces.length ? LABELS.indexOf(item.result.faces[0].emotion) : 8);
const SORTS = {
  added: (a, b) => a.id - b.id,
  name: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  unsure: (a, b) => least(a) - least(b),
  label: (a, b) => label(a) - label(b),
  faces: (a, b) => (b.result?.faces.length ?? -1) - (a.result?.faces.length ?? -1),
};

/** Brings `shown.items` up to date. */
export function choose() {
  const { filter, sort } = shown;
  const chosen = filter === 'all' ? [...items] : items.filter((item) => item.groups.includes(filter));
  // Images are stored in the order added already.
  shown.items = sort === 'added' ? chosen : chosen.sort((a, b) => SORTS[sort](a, b) || a.id - b.id);
}
