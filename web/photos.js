// The results: the bar above, the list, the stage, and what the user does with them.
import { $, LABELS, button, counted, isPhone, say, setText, soon } from './dom.js';
import { checkLabels, expectedOf } from './check.js';
import { sentence } from './faces.js';
import { keepPlace, move, select, selectedItem, startList } from './list.js';
import { dequeue, enqueue, isPaused, onItem, setPaused } from './queue.js';
import { showPill } from './server.js';
import { createStage } from './stage.js';
import { answeredCount, choose, count, create, discard, items, regroup, shown } from './store.js';

// Longest side of an image that may be a crop of a face, and how many such images make the question worth while.
const CROP = 128;
const SEVERAL = 3;

let crops = false;
let suggested = false;
let small = 0;
// Images of the batch that is under way.
let batch = 0;

const stage = createStage($('stage'), $('answer'), {
  retry: (item) => enqueue([item]),
  remove,
  whole: (item) => again(item, { crops: true }),
  smaller: (item) => again(item, { crops: false, minFace: '20' }),
});
export const currentImage = () => stage.image;

function again(item, options) {
  item.options = options;
  enqueue([item]);
}

// ── the bar ────────────────────────────────────────────────────────────────────────────────────────────

const GROUPS = ['all', ...LABELS, 'unsure', 'no face', 'wrong', 'failed'];
const chips = GROUPS.map((group) => {
  const element = button('', () => show(group), { class: `chip tone-${LABELS.includes(group) ? group : 'none'}`, 'data-group': group });
  $('chips').append(element);
  return { group, element };
});
const retry = button('Retry failed', () => enqueue(items.filter((item) => item.state === 'failed')), { class: 'chip bad' });
$('chips').append(retry);

function show(group) {
  shown.filter = group;
  refreshNow();
}

function drawBar() {
  const done = answeredCount();
  setText($('progress-text'), done < items.length ? `${done} of ${items.length}` : counted(items.length, 'image'));
  $('progress').max = Math.max(1, items.length);
  $('progress').value = done;
  for (const { group, element } of chips) {
    const n = group === 'all' ? items.length : count(group);
    setText(element, group === 'all' ? 'All' : `${group} ${n}`);
    element.setAttribute('aria-pressed', shown.filter === group);
    // Labels keep their place; the others appear once.
    element.hidden = !n && !LABELS.includes(group) && group !== 'all' && shown.filter !== group;
    element.classList.toggle('empty', !n);
  }
  retry.hidden = !count('failed');
  setText($('pause'), isPaused() ? 'Go on' : 'Pause');
}

/** Brings bar and list up to date: at once after what the user did, `soon` after what the server answered. */
function refreshNow() {
  $('intro').hidden = items.length > 0;
  $('results').hidden = items.length === 0;
  if (shown.filter !== 'all' && !count(shown.filter)) shown.filter = 'all';
  drawBar();
  keepPlace(choose);
  if (!selectedItem() && shown.items.length) select(shown.items[0]);
  // After a filter has hidden the selected image, the first of the rest.
  else if (shown.items.length && !shown.items.includes(selectedItem())) select(shown.items[0]);
  $('suggest').hidden = suggested || crops || small < SEVERAL || small <= (answeredCount() - count('failed')) / 2;
  checkLabels(show);
}
const refresh = soon(refreshNow);

// ── what happens to an image ───────────────────────────────────────────────────────────────────────────

onItem((item) => {
  if (!item.groups) return;
  const wasDone = item.isSmall;
  item.isSmall = item.state === 'done' && Math.max(item.result.width ?? Infinity, item.result.height ?? Infinity) <= CROP;
  small += Number(item.isSmall) - Number(wasDone ?? false);
  regroup(item);
  if (item === selectedItem()) stage.update();
  if (item.state === 'done' || item.state === 'failed') answered(item);
  refresh();
});

/** One sentence for a screen reader: the image that is looked at, or the end of many. */
function answered(item) {
  if (batch > 1 && !count('waiting')) {
    const faces = items.reduce((sum, { result }) => sum + (result?.faces.length ?? 0), 0);
    const failed = count('failed') ? `, ${count('failed')} failed` : '';
    say(`Done: ${counted(faces, 'face')} in ${counted(items.length, 'image')}${failed}.`);
    batch = 0;
  } else if (item === selectedItem()) {
    say(`${item.name}: ${item.result ? sentence(item.result.faces) : item.error.words}`);
  }
}

/** Takes in files: { file, name }; with `stay` the part of the page that is shown stays. */
export function add(files, { stay = false } = {}) {
  if (!files.length) return;
  if (!stay && location.hash && location.hash !== '#photos') location.hash = '#photos';
  const created = create(files.map((one) => ({ ...one, expected: expectedOf(one.name) })), { crops });
  batch = count('waiting');
  $('intro').hidden = true;
  $('results').hidden = false;
  keepPlace(choose);
  if (!selectedItem()) select(created[0]);
  say(`${counted(files.length, 'image')} added.`);
  enqueue(created);
}

function remove(item) {
  const inList = document.activeElement === $('list');
  if (item === selectedItem()) {
    move(1);
    if (item === selectedItem()) move(-1);
  }
  forget([item]);
  if (items.length) (inList ? $('list') : $('answer').querySelector('button:last-of-type') ?? $('list')).focus();
}

function forget(gone) {
  dequeue(gone);
  for (const item of gone) if (item.isSmall) small -= 1;
  discard(gone);
  if (!items.length) {
    stage.show(undefined);
    select(undefined);
    say('All images removed.');
  }
  refreshNow();
}

function setMode(value) {
  crops = value;
  suggested = true;
  $(crops ? 'mode-crops' : 'mode-photos').checked = true;
  for (const item of items) item.options = { crops };
  batch = items.length;
  enqueue([...items]);
}

export function startPhotos() {
  startList((item) => {
    stage.show(item);
    if (!item) return;
    if (item.result) say(`${item.name}: ${sentence(item.result.faces)}`);
    if (isPhone() && $('stage').getBoundingClientRect().top < 0) $('stage').scrollIntoView();
  }, remove);
  $('sort').addEventListener('change', () => { shown.sort = $('sort').value; refreshNow(); });
  $('pause').addEventListener('click', () => { setPaused(!isPaused()); drawBar(); });
  $('clear').addEventListener('click', () => {
    forget([...items]);
    setPaused(false);
    showPill();
    document.querySelector('[data-choose=files]').focus();
  });
  $('as-crops').addEventListener('click', () => setMode(true));
  $('as-photos').addEventListener('click', () => { suggested = true; refreshNow(); });
  for (const name of ['photos', 'crops']) $(`mode-${name}`).addEventListener('change', () => setMode(name === 'crops'));
  $('settings').addEventListener('submit', (event) => {
    event.preventDefault();
    $('options').open = false;
    batch = items.length;
    enqueue([...items]);
  });
}
