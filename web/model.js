// What serves here, drawn from GET /model: scores, confusion, labels with intervals, robustness, limits, intended use.
import { LABELS, make, percent } from './dom.js';
import { call } from './api.js';
import { confusionTable } from './check.js';
import { failed, isReady, onState } from './server.js';

let host;
let drawn;

/** Wilson's 95 % interval of a share of `n` rows. */
export function interval(p, n) {
  if (!n) return [0, 1];
  const z = 1.96;
  const centre = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return [centre - half, centre + half];
}

function bar(value, [low, high], css) {
  const track = make('div', { class: 'interval', 'aria-hidden': 'true' });
  const [fill, range] = [make('span', { class: css }), make('i')];
  fill.style.width = `${100 * value}%`;
  range.style.left = `${100 * low}%`;
  range.style.width = `${100 * (high - low)}%`;
  track.append(fill, range);
  return track;
}

const figures = (pairs) => make('dl', { class: 'figures' }, ...pairs.filter(([, value]) => value !== undefined)
  .map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))));
const within = ([low, high]) => `${percent(low, 0)} to ${percent(high, 0)}`;
const table = (caption, heads, rows) => make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, make('table', {},
  make('caption', {}, caption),
  make('thead', {}, make('tr', {}, ...heads.map((head) => make('th', { scope: 'col' }, head)))),
  make('tbody', {}, ...rows.map(([head, ...cells]) => make('tr', {}, make('th', { scope: 'row' }, head), ...cells.map((cell) => make('td', {}, cell)))))));

function labelRows({ per_class: classes, confusion }) {
  return LABELS.map((label, n) => {
    const { precision, recall, support } = classes[label];
    const predicted = confusion.reduce((sum, row) => sum + row[n], 0);
    const [found, right] = [interval(recall, support), interval(precision, predicted)];
    return [label, bar(recall, found, `tone-${label}`), `${percent(recall, 0)} (${within(found)})`,
      bar(precision, right, `tone-${label}`), `${percent(precision, 0)} (${within(right)})`, String(support)];
  });
}

function draw({ name, version, engine, precision, device, scores, robustness }) {
  const parts = [make('h1', { class: 'view-title' }, `${name}, version ${version}`),
    make('p', { class: 'note' }, `Runs as ${engine}, ${precision}, on ${device.toUpperCase()}. Input: 48 × 48 gray pixels.`)];
  // A model folder of another program may hold a part of the scores, or none.
  if (scores?.per_class && scores.confusion) {
    const span = interval(scores.accuracy, scores.rows);
    parts.push(
      figures([
        ['Accuracy', `${percent(scores.accuracy)} (${within(span)})`],
        ['Accuracy on faces it never saw', scores.unseen && percent(scores.unseen.accuracy)],
        ['Macro-F1', scores.macro_f1.toFixed(3)], ['Log-loss', scores.log_loss.toFixed(3)],
        ['Calibration error', percent(scores.ece)], ['Faces scored', String(scores.rows)],
      ]),
      make('p', {}, `A stated probability is off by ${percent(scores.ece)} on average. Ranges are 95 % intervals for that number of faces.`),
      make('div', { class: 'panel' }, confusionTable(scores.confusion, LABELS, 'Confusion matrix. Rows: true label. Columns: answer.')),
      make('div', { class: 'panel' },
        table('Each label', ['Label', 'Found', 'Of its faces, found', 'Right', 'Of these answers, right', 'Faces'], labelRows(scores))));
  } else {
    parts.push(make('p', {}, 'This model folder holds no scores for each label.'));
  }
  if (robustness?.cases) {
    const rows = robustness.cases.map(({ change, accuracy, loss }) =>
      [change, bar(accuracy, interval(accuracy, robustness.rows), 'tone-sad'), percent(accuracy), `${loss.toFixed(1)} points`]);
    const title = `Robustness: accuracy on changed faces (${percent(robustness.plain)} on plain ones)`;
    parts.push(make('div', { class: 'panel' }, table(title, ['Change', 'Accuracy', 'In figures', 'Lost'], rows)));
  }
  parts.push(make('div', { class: 'panel' },
    make('h2', {}, 'Limits'),
    make('ul', {}, ...['It learnt from FER2013: web pictures of faces, labelled by people who agree on about two of three.',
      'Small, dark, turned or covered faces are judged worse; profiles and masks are mostly not found.',
      'How well it does for different ages, skin colours and genders has not been measured: FER2013 does not record them.'].map((text) => make('li', {}, text))),
    make('h2', {}, 'Intended use'),
    make('p', {}, 'Research, teaching, and counting expressions where nobody is judged by them. An expression is not an inner state. ',
      'The EU’s AI Act bans inferring emotions at work and in education (Article 5(1)(f)).'),
    make('p', {}, make('a', { href: 'model' }, 'The same as JSON'))));
  host.replaceChildren(...parts);
}

async function load() {
  if (!isReady() || host.hidden) return;
  try {
    const { body } = await call('model');
    if (JSON.stringify(body) === drawn) return;
    drawn = JSON.stringify(body);
    draw(body);
  } catch (error) {
    if (error.state) failed(error);
  }
}

export function enter(element) {
  host = element;
  if (!host.childElementCount) host.append(make('h1', { class: 'view-title' }, 'Model'), make('p', { class: 'note' }, 'Waiting for the server …'));
  load();
}
onState(() => host && load());
