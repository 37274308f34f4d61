// One image and its answer: the picture with its boxes, the label as the largest text, the bars, what can be done.
import { button, counted, make, millis, percent, verdict } from './dom.js';
import { REQUESTS, codePanel, requestOf } from './code.js';
import { bars, cutOut, drawBoxes } from './faces.js';
import { shownUrl } from './redraw.js';

const STEPS = [['infer', 'Model'], ['detect', 'Finding faces'], ['decode', 'Reading the image'], ['queue', 'Waiting in the server']];

/** Where the time went; what the server does not account for is transfer. */
function timings({ took, times }) {
  const known = STEPS.filter(([key]) => times[key] !== undefined).map(([key, name]) => [name, times[key]]);
  const rest = Math.max(0, took - known.reduce((sum, [, ms]) => sum + ms, 0));
  return make('dl', { class: 'timing' }, ...[...known, ['Transfer', rest], ['Together', took]]
    .flatMap(([name, ms]) => [make('dt', {}, name), make('dd', {}, millis(ms))]));
}

/** JSON to be read: short objects stay on one line. */
export const json = (value) => JSON.stringify(value, null, 2).replace(/\{\n\s+([^{}[\]]{0,70})\n\s+\}/g, (_, inner) => `{ ${inner.replace(/\n\s+/g, ' ')} }`);

/**
 * Fills two elements. `actions` are what the user can do with an image: { retry, remove, whole, smaller }, each a function
 * of the image; without them there are neither buttons nor code.
 */
export function createStage(pictureHost, answerHost, actions) {
  const image = make('img', { alt: '' });
  const boxes = make('div', { class: 'boxes' });
  const cannot = make('p', { class: 'cannot' });
  const picture = make('figure', { class: 'picture' }, image, boxes, cannot);
  const size = make('p', { class: 'note' });
  pictureHost.append(picture, size);

  const title = make('h2');
  const face = make('canvas', { width: 112, height: 112, 'aria-hidden': 'true' });
  const big = make('p', { class: 'verdict' });
  const small = make('p', { class: 'note' });
  const barsHost = make('div');
  const faceList = make('ol', { class: 'faces', 'aria-label': 'Faces' });
  const doing = make('p', { class: 'buttons' });
  const problem = make('pre', { tabindex: '0', role: 'region', 'aria-label': 'What the server says' });
  const help = make('details', { class: 'help' }, make('summary', {}, 'What the server says'), problem);
  let item;
  let chosen = 0;
  const code = actions && codePanel({
    JSON: () => (item?.result ? json(item.result.answer) : '…'),
    ...Object.fromEntries(Object.keys(REQUESTS).map((name) => [name, () => requestOf(name, {
      path: item?.result?.target ?? 'faces', files: [item?.name.split('/').pop() ?? 'photo.jpg'],
    })])),
    Timing: () => (item?.result ? timings(item.result) : '…'),
  }, 'Answer and request of this image');
  answerHost.append(title, make('div', { class: 'who' }, face, make('div', {}, big, small)), barsHost, faceList, doing, help, ...(code ? [code.element] : []));

  image.addEventListener('load', () => {
    image.hidden = false;
    cannot.hidden = true;
    if (!item?.result?.width) frame(image.naturalWidth, image.naturalHeight);
    cut();
  });
  image.addEventListener('error', () => {
    image.hidden = true;
    cannot.hidden = false;
    cannot.textContent = 'This browser cannot draw this format; the boxes are right.';
  });

  function frame(width, height) {
    picture.style.setProperty('--ratio', width / height);
    picture.style.setProperty('--most', `${4 * width}px`);
  }

  const cut = () => {
    const one = item?.result?.faces[chosen];
    face.hidden = !one || !image.naturalWidth;
    if (!face.hidden) cutOut(face, image, one, item.result);
  };

  function chooseFace(n) {
    const focused = boxes.contains(document.activeElement) || faceList.contains(document.activeElement);
    const inList = faceList.contains(document.activeElement);
    chosen = n;
    update();
    if (focused) (inList ? faceList.children[n].firstChild : boxes.children[n]).focus();
  }

  /** Draws what is known of the image now. */
  function update() {
    if (!item) return;
    const { state, result, error } = item;
    const faces = result?.faces ?? [];
    const one = faces[chosen];
    title.textContent = item.name;
    help.hidden = !error?.problem;
    answerHost.dataset.state = state;
    if (error?.problem) problem.textContent = JSON.stringify(error.problem, null, 2);
    doing.replaceChildren();
    barsHost.replaceChildren();
    faceList.replaceChildren();
    small.textContent = '';
    if (result?.width) frame(result.width, result.height);
    if (result?.width) drawBoxes(boxes, result, chooseFace, chosen);
    else boxes.replaceChildren();
    if (one) {
      big.textContent = verdict(one);
      const about = one.box ? `face ${Math.round(one.box.width)} px` : 'the whole image as a face';
      small.textContent = `${percent(one.confidence)} · ${faces.length > 1 ? `face ${chosen + 1} of ${faces.length}, ` : ''}${about}`;
      barsHost.append(bars(one));
      if (faces.length > 1) {
        faceList.append(...faces.map((other, n) => make('li', {},
          button(`${n + 1} · ${verdict(other)} ${percent(other.confidence, 0)}`, () => chooseFace(n),
            { class: `dot tone-${other.emotion}`, 'aria-pressed': String(n === chosen) }))));
      }
    } else if (state === 'done') {
      big.textContent = 'No face found';
    } else if (state === 'failed') {
      big.textContent = 'No answer';
      small.textContent = error.words;
    } else {
      big.textContent = state === 'sending' ? 'Sending …' : 'Waiting …';
      small.textContent = item.reason ?? '';
    }
    cut();
    if (item.sent && result) small.textContent += ` · sent as a JPEG of ${result.width ?? item.sent.side} pixels`;
    size.textContent = result?.width ? `${result.width} × ${result.height} pixels · ${counted(faces.length, 'face')} · ${millis(result.took)}` : '';
    if (!actions) return;
    if (state === 'done' && !one) {
      doing.append(button('Classify the whole image', () => actions.whole(item)),
        button('Look for smaller faces', () => actions.smaller(item), { class: 'quiet' }));
    }
    if (state === 'failed') doing.append(button('Try again', () => actions.retry(item)));
    doing.append(button('Remove', () => actions.remove(item), { class: 'quiet', 'aria-label': `Remove ${item.name}` }));
    code.update();
  }

  /** Shows an image; the same one again only where something has changed. */
  async function show(next) {
    if (next === item) return update();
    item = next;
    chosen = 0;
    image.hidden = true;
    cannot.hidden = true;
    image.alt = '';
    if (image.src) URL.revokeObjectURL(image.src);
    image.removeAttribute('src');
    if (!item) return;
    update();
    const url = await shownUrl(item.file);
    if (item !== next) return URL.revokeObjectURL(url);
    image.alt = item.name;
    image.src = url;
  }
  return { show, update, image, item: () => item };
}
