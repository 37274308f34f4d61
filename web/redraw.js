// Images that the browser can draw and the server cannot read, or that are too large: drawn again as a JPEG.
import { make } from './dom.js';

const QUALITY = 0.92;

/** Whether the browser has to draw it, by its type or name; the server reads all other images. */
export const unreadable = (file) => /^image\/(avif|hei[cf]|svg\+xml)/.test(file.type) || /\.(avif|hei[cf]|svg)$/i.test(file.name ?? '');

/** The image drawn on white, its longest side at most `side` pixels: { blob, side }; `undefined` if the browser cannot draw it. */
export async function redraw(file, side) {
  const url = URL.createObjectURL(file);
  try {
    const image = make('img', { src: url });
    await image.decode();
    // An SVG may have no size of its own.
    const width = image.naturalWidth || 512;
    const height = image.naturalHeight || 512;
    const scale = Math.min(1, side / Math.max(width, height));
    const canvas = make('canvas', { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
    const pen = canvas.getContext('2d');
    pen.fillStyle = '#fff';
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, 'image/jpeg', QUALITY));
    return blob && { blob, side: Math.max(canvas.width, canvas.height) };
  } catch {
    return undefined;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** The EXIF orientation of a WebP image, 1 to 8; browsers apply that of JPEG only. */
export async function webpOrientation(file) {
  const head = new DataView(await file.slice(0, 64).arrayBuffer());
  const name = (view, at) => (at + 4 <= view.byteLength ? String.fromCharCode(...new Uint8Array(view.buffer, at, 4)) : '');
  if (name(head, 0) !== 'RIFF' || name(head, 8) !== 'WEBP' || name(head, 12) !== 'VP8X' || !(head.getUint8(20) & 8)) return 1;
  const view = new DataView(await file.arrayBuffer());
  for (let at = 12; at + 8 <= view.byteLength;) {
    const size = view.getUint32(at + 4, true);
    if (name(view, at) === 'EXIF') return orientation(new DataView(view.buffer, at + 8, Math.min(size, view.byteLength - at - 8)));
    at += 8 + size + (size & 1);
  }
  return 1;
}

/** The orientation of a TIFF header, which some programs put `Exif\0\0` before. */
function orientation(view) {
  try {
    const start = view.getUint32(0) === 0x45786966 ? 6 : 0;
    const little = view.getUint16(start) === 0x4949;
    const table = start + view.getUint32(start + 4, little);
    for (let n = 0; n < view.getUint16(table, little); n += 1) {
      const at = table + 2 + 12 * n;
      if (view.getUint16(at, little) === 0x0112) {
        const value = view.getUint16(at + 8, little);
        return value >= 1 && value <= 8 ? value : 1;
      }
    }
  } catch { /* cut short */ }
  return 1;
}

/** Where a canvas must move for each orientation: the matrix for an image of the size w × h. */
const TURNS = {
  2: (w) => [-1, 0, 0, 1, w, 0], 3: (w, h) => [-1, 0, 0, -1, w, h], 4: (w, h) => [1, 0, 0, -1, 0, h],
  5: () => [0, 1, 1, 0, 0, 0], 6: (w, h) => [0, 1, -1, 0, h, 0], 7: (w, h) => [0, -1, -1, 0, h, w], 8: (w) => [0, -1, 1, 0, 0, w],
};

/** The address of the image as it is to be shown, upright. */
export async function shownUrl(file) {
  if (/webp$/i.test(file.type || file.name)) {
    const turn = TURNS[await webpOrientation(file).catch(() => 1)];
    const bitmap = turn && await createImageBitmap(file, { imageOrientation: 'none' }).catch(() => undefined);
    if (bitmap) {
      const { width, height } = bitmap;
      const matrix = turn(width, height);
      const across = matrix[0] === 0;
      const canvas = make('canvas', { width: across ? height : width, height: across ? width : height });
      const pen = canvas.getContext('2d');
      pen.setTransform(...matrix);
      pen.drawImage(bitmap, 0, 0);
      bitmap.close();
      return URL.createObjectURL(await new Promise((done) => canvas.toBlob(done)));
    }
  }
  return URL.createObjectURL(file);
}
