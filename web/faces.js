// What the photos, the camera and the video share: boxes over a picture, and the seven bars of a face.
import { make, percent, ranked, verdict } from './dom.js';

// With more faces than this the boxes bear numbers only: words would hide the next face.
const CROWD = 8;
const share = (part, whole) => `${((100 * part) / whole).toFixed(3)}%`;

/** Lays the boxes over a picture; with `onChoose(n)` they are buttons. */
export function drawBoxes(layer, { faces, width, height }, onChoose, selected) {
  const crowd = faces.length > CROWD;
  layer.replaceChildren(...faces.filter((face) => face.box).map((face, n) => {
    const { box } = face;
    const words = `${n + 1} · ${face.emotion} ${percent(face.confidence, 0)}`;
    const element = make(onChoose ? 'button' : 'div', {
      class: `box tone-${face.emotion}`, type: onChoose && 'button', 'aria-label': onChoose && `Face ${words}`,
      'aria-pressed': onChoose && String(n === selected), onclick: onChoose && (() => onChoose(n)),
    }, make('span', { 'aria-hidden': 'true' }, crowd ? `${n + 1}` : words));
    element.classList.toggle('low', box.y < 0.08 * height);
    element.classList.toggle('late', box.x > 0.7 * width);
    Object.assign(element.style, {
      left: share(box.x, width), top: share(box.y, height), width: share(box.width, width), height: share(box.height, height),
    });
    return element;
  }));
}

/** The seven bars, the likeliest label first. */
export function bars(face) {
  return make('dl', { class: 'bars' }, ...ranked(face).flatMap(([label, p], n) => {
    const fill = make('span', { class: `tone-${label}` });
    fill.style.width = `${100 * p}%`;
    const css = n ? '' : 'top';
    return [
      make('dt', { class: css }, label),
      make('dd', { class: 'track', 'aria-hidden': 'true' }, fill),
      make('dd', { class: `value ${css}` }, percent(p)),
    ];
  }));
}

/** A face cut out of `picture` (an image, a video or a canvas) that shows what was classified. */
export function cutOut(canvas, picture, face, { width, height } = {}) {
  const w = picture.naturalWidth || picture.videoWidth || picture.width;
  const h = picture.naturalHeight || picture.videoHeight || picture.height;
  // The picture may have been scaled before it was sent.
  const [kx, ky] = [w / (width || w), h / (height || h)];
  const { x, y, width: bw, height: bh } = face.box ?? { x: 0, y: 0, width: w, height: h };
  canvas.getContext('2d').drawImage(picture, x * kx, y * ky, bw * kx, bh * ky, 0, 0, canvas.width, canvas.height);
}

export const sentence = (faces) => {
  const [first, ...others] = faces;
  if (!first) return 'no face found';
  return `${verdict(first)}, ${percent(first.confidence, 0)}${others.length ? ` and ${others.length} more` : ''}`;
};
