// Saves the results: CSV, JSON lines, and an image with its boxes.
import { $, LABELS, download, make, percent, verdict } from './dom.js';
import { target } from './api.js';
import { selectedItem } from './list.js';
import { currentImage } from './photos.js';
import { server } from './server.js';
import { items } from './store.js';

/** RFC 4180; text that a spreadsheet would take for a formula gets an apostrophe. */
function field(value) {
  let text = value === undefined ? '' : String(value);
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Rows as a file that spreadsheets read as UTF-8. */
export const csv = (rows) => `\ufeff${rows.map((cells) => cells.map(field).join(',')).join('\r\n')}\r\n`;

function rows() {
  const head = ['file', 'expected', 'width', 'height', 'faces', 'face', 'x', 'y', 'box_width', 'box_height', 'score', 'emotion', 'confidence',
    'verdict', ...LABELS, 'milliseconds', 'error', 'model', 'version', 'engine', 'precision', 'request'];
  const { name, version, engine, precision } = server.model ?? {};
  const body = items.filter(({ state }) => state === 'done' || state === 'failed').flatMap((item) => {
    const { result, error } = item;
    const { width, height, faces = [], took } = result ?? {};
    const start = [item.name, item.expected, width, height, result && faces.length];
    const end = [took?.toFixed(1), error?.words, name, version, engine, precision, result?.target ?? target(item.options)];
    if (!faces.length) return [[...start, ...Array(9 + LABELS.length).fill(undefined), ...end]];
    return faces.map((face, n) => [...start, n + 1, face.box?.x, face.box?.y, face.box?.width, face.box?.height, face.score, face.emotion,
      face.confidence, verdict(face), ...LABELS.map((label) => face.probabilities[label]), ...end]);
  });
  return [head, ...body];
}

const lines = () => items.filter(({ result, error }) => result || error).map(({ name, expected, result, error }) => {
  const line = { file: name, expected, request: result?.target, answer: result?.answer, error: error?.problem ?? error?.words };
  return `${JSON.stringify(line)}\n`;
});

/** The selected image with its boxes and labels, in its own size. */
async function annotated() {
  const item = selectedItem();
  const image = currentImage();
  if (!item?.result || !image.naturalWidth) return;
  const { width = image.naturalWidth, height = image.naturalHeight, faces } = item.result;
  const canvas = make('canvas', { width: image.naturalWidth, height: image.naturalHeight });
  const pen = canvas.getContext('2d');
  pen.drawImage(image, 0, 0);
  pen.scale(canvas.width / width, canvas.height / height);
  const line = Math.max(1, Math.max(width, height) / 300);
  pen.lineWidth = line;
  pen.font = `${6 * line}px sans-serif`;
  for (const face of faces.filter(({ box }) => box)) {
    const { x, y, width: w, height: h } = face.box;
    const colour = getComputedStyle(document.documentElement).getPropertyValue(`--${face.emotion}`);
    const words = `${face.emotion} ${percent(face.confidence, 0)}`;
    pen.strokeStyle = colour;
    pen.strokeRect(x, y, w, h);
    pen.fillStyle = '#11151c';
    pen.fillRect(x - line / 2, y - 8 * line, pen.measureText(words).width + 4 * line, 8 * line);
    pen.fillStyle = '#fff';
    pen.fillText(words, x + 1.5 * line, y - 2 * line);
  }
  const blob = await new Promise((done) => canvas.toBlob(done));
  download(`${item.name.split('/').pop().replace(/\.\w+$/, '')}-faces.png`, 'image/png', blob);
}

export function startExport() {
  const actions = {
    'save-csv': () => download('faces.csv', 'text/csv;charset=utf-8', csv(rows())),
    'save-jsonl': () => download('faces.jsonl', 'application/jsonl', ...lines()),
    'save-png': annotated,
  };
  for (const [id, action] of Object.entries(actions)) {
    $(id).addEventListener('click', () => { $('export').open = false; action(); });
  }
}
