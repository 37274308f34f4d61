// The page before any image: samples that anyone may show, the first of them answered, and its request as code.
import { $, isPhone, make, say } from './dom.js';
import { ask } from './api.js';
import { REQUESTS, codePanel, requestOf } from './code.js';
import { sentence } from './faces.js';
import { failed, isReady, onState, showPill, succeeded } from './server.js';
import { createStage, json } from './stage.js';

// Portraits by NASA (public domain) and Lav Varshney (CC0), a cat by Stefan van der Walt (CC0), a cup by Rachel Michetti (CC0).
const SAMPLES = [
  ['astronaut.jpg', 'An astronaut before a flag'],
  ['photographer.jpg', 'A man with a camera on a tripod'],
  ['cat.jpg', 'A cat'],
  ['coffee.jpg', 'A cup of coffee'],
];

const [picture, answer] = $('sample').children;
const stage = createStage(picture, answer);
const request = codePanel(Object.fromEntries(Object.keys(REQUESTS)
  .map((name) => [name, () => requestOf(name, { path: current?.result?.target ?? 'faces', files: [current?.name ?? 'photo.jpg'] })])), 'The request as code');
const reply = codePanel({ Answer: () => (current?.result ? json(current.result.answer) : '…') }, 'The answer');
let current;

async function choose(name) {
  for (const one of $('samples').querySelectorAll('button')) one.setAttribute('aria-pressed', one.dataset.name === name);
  const response = await fetch(`console/${name}`).catch(() => undefined);
  if (!response?.ok) return say('The sample cannot be loaded.');
  const blob = await response.blob();
  current = { name, file: new File([blob], name, { type: blob.type }), state: 'waiting' };
  stage.show(current);
  update();
  await classify(current);
}

/** The user's choice: on a phone the answer is below the fold. */
function chosen(name) {
  if (isPhone()) $('sample').scrollIntoView();
  choose(name);
}

function update() {
  stage.update();
  request.update();
  reply.update();
}

async function classify(item) {
  if (!isReady() || item.state !== 'waiting') return;
  item.state = 'sending';
  try {
    item.result = await ask(item.file);
    item.state = 'done';
    succeeded(item.result);
    showPill();
    if (item === current && !$('intro').hidden) say(`${item.name}: ${sentence(item.result.faces)}`);
  } catch (error) {
    // Asked again as soon as the server is ready.
    item.state = error.state ? 'waiting' : 'failed';
    item.error = { words: error.message, problem: error.problem };
    if (error.state) failed(error);
  }
  if (item === current) update();
}

export async function startIntro() {
  $('samples').append(...SAMPLES.map(([name, about]) => make('li', {}, make('button', {
    type: 'button', 'data-name': name, 'aria-label': about, 'aria-pressed': 'false', onclick: () => chosen(name),
  }, make('img', { src: `console/${name}`, width: 52, height: 52, alt: '' })))));
  $('intro-request').append(request.element);
  reply.element.querySelector('.views').append(make('a', { href: 'docs#faces' }, 'Open in the API page'));
  $('intro-answer').append(reply.element);
  update();
  onState(() => current && !$('intro').hidden && classify(current));
  $('key').addEventListener('change', () => request.update());
  await choose(SAMPLES[0][0]);
}
