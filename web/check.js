// Checks the answers against labels that the images' names carry: a folder (`happy/1.png`) or a prefix (`happy_1.png`).
import { $, LABELS, button, make, percent } from './dom.js';
import { count, items } from './store.js';

const ALIASES = {
  anger: 'angry', disgusted: 'disgust', fearful: 'fear', afraid: 'fear', scared: 'fear', happiness: 'happy', joy: 'happy', sadness: 'sad',
  surprised: 'surprise', suprise: 'surprise',
};
const known = (word) => {
  const lower = word.toLowerCase();
  return LABELS.includes(lower) ? lower : ALIASES[lower];
};

/** The label in a path: the innermost folder that is one, else the first word of the file's name. */
export function expectedOf(path) {
  const parts = path.split('/');
  const file = parts.pop();
  return parts.reverse().map(known).find(Boolean) ?? known(/^[A-Za-z]*/.exec(file)[0]);
}

/** Rows are the expected labels, columns the answers; the last column is "no face". */
function confusion() {
  const table = LABELS.map(() => Array(LABELS.length + 1).fill(0));
  for (const { expected, result } of items) {
    if (!expected || !result) continue;
    const [face] = result.faces;
    table[LABELS.indexOf(expected)][face ? LABELS.indexOf(face.emotion) : LABELS.length] += 1;
  }
  return table;
}

/** A table of counts, its cells shaded by their share of the row. */
export function confusionTable(table, columns, caption) {
  const heads = columns.map((label) => make('th', { scope: 'col' }, label));
  return make('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, make('table', { class: 'confusion' },
    make('caption', {}, caption),
    make('thead', {}, make('tr', {}, make('td'), ...heads)),
    make('tbody', {}, ...table.map((row, r) => {
      const sum = row.reduce((a, b) => a + b, 0);
      return make('tr', {}, make('th', { scope: 'row' }, LABELS[r]), ...row.map((n, c) => {
        const cell = make('td', { class: r === c ? 'hit' : '' }, n ? String(n) : '·');
        cell.style.setProperty('--share', `${sum ? (60 * n) / sum : 0}%`);
        return cell;
      }));
    }))));
}

let drawn = '';

/** Brings the part "Check against my labels" up to date; `show(group)` shows a group in the list. */
export function checkLabels(show) {
  $('check').ontoggle = () => { drawn = ''; checkLabels(show); };
  const checked = count('checked');
  $('check').hidden = !checked;
  const key = `${checked} ${count('wrong')}`;
  if (!checked || !$('check').open || key === drawn) return;
  drawn = key;
  const wrong = count('wrong');
  const right = checked - wrong;
  $('check-body').replaceChildren(
    make('p', { class: 'verdict' }, `${percent(right / checked)} right`),
    make('p', { class: 'note' }, `${right} of ${checked} images with a label in their folder or file name. The CSV has the column “expected”.`),
    confusionTable(confusion(), [...LABELS, 'no face'], 'Rows: your labels. Columns: answers.'),
    make('p', { class: 'buttons' }, button(`Show the ${wrong} wrong ones`, () => { show('wrong'); $('list').focus(); }, wrong ? {} : { disabled: '' })));
}
