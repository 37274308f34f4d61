// Lines over time as SVG elements. Colours come from the style sheet.

const NS = 'http://www.w3.org/2000/svg';

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Lines over time: `series` is [[label, [[seconds, value 0–1], …]], …] between `from` and `to` seconds. */
export function lines(host, series, from, to, height = 120) {
  const width = 600;
  const x = (t) => ((t - from) / Math.max(0.001, to - from)) * width;
  const y = (p) => height - 2 - p * (height - 4);
  host.replaceChildren(svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...[0.25, 0.5, 0.75].map((p) => svg('path', { class: 'grid', d: `M0 ${y(p)}H${width}` })),
    ...series.map(([label, points]) => svg('path', {
      class: `line tone-${label}`, d: points.map(([t, p], n) => `${n ? 'L' : 'M'}${x(t).toFixed(1)} ${y(p).toFixed(1)}`).join(''),
    }))));
}
