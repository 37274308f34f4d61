// Joins the faces of a video's frames: a box that overlaps the last box of a face belongs to that face.

// Least intersection over union of two boxes of one face.
const OVERLAP = 0.25;
// A face that was not seen for this time in seconds has gone.
const GONE = 1.5;

/** Intersection over union of two boxes, 0 to 1. */
export function overlap(a, b) {
  const w = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const h = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  if (w <= 0 || h <= 0) return 0;
  return (w * h) / (a.width * a.height + b.width * b.height - w * h);
}

/**
 * Adds the faces at `time` (seconds) to `tracks`, a list of { points: [{ time, face }] }; the pairs that overlap most are
 * joined first. `period` is the time between two frames.
 */
export function join(tracks, time, faces, period) {
  const open = tracks.filter(({ points }) => time - points.at(-1).time <= Math.max(GONE, 1.5 * period));
  const pairs = open.flatMap((track) => faces.map((face) => ({ track, face, shared: overlap(track.points.at(-1).face.box, face.box) })))
    .filter(({ shared }) => shared >= OVERLAP).sort((a, b) => b.shared - a.shared);
  const taken = new Set();
  for (const { track, face } of pairs) {
    if (taken.has(track) || taken.has(face)) continue;
    taken.add(track).add(face);
    track.points.push({ time, face });
  }
  for (const face of faces) if (!taken.has(face)) tracks.push({ points: [{ time, face }] });
}
