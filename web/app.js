// The web page of fer-serve. It talks to this server only. This file: which part is shown, and the start of all parts.
import { $ } from './dom.js';
import { startExport } from './export.js';
import { takeFiles } from './files.js';
import { startIntro } from './intro.js';
import { add, startPhotos } from './photos.js';
import { watchServer } from './server.js';

const VIEWS = ['photos', 'camera', 'video', 'model'];
// Parts that most visits do not need come when they are first shown.
const LATER = { camera: './camera.js', video: './video.js', model: './model.js' };
const loaded = {};

async function showView() {
  const name = VIEWS.find((view) => location.hash === `#${view}`) ?? 'photos';
  for (const view of VIEWS) $(view).hidden = view !== name;
  for (const link of document.querySelectorAll('header nav a')) {
    if (link.getAttribute('href') === `#${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  // A part that is left stops what it does.
  for (const [view, part] of Object.entries(loaded)) if (view !== name) (await part).leave?.();
  if (LATER[name]) (await (loaded[name] ??= import(LATER[name]))).enter($(name));
}

/** A menu closes on Escape and on a click elsewhere. */
function closeMenus(event) {
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    if (event.type === 'click' ? menu.contains(event.target) : event.key !== 'Escape') continue;
    menu.open = false;
    if (event.type !== 'click') menu.querySelector('summary').focus();
  }
}

/** A video goes to its own part, all else to the photos. */
takeFiles(async (files) => {
  const video = files.find(({ file }) => file.type.startsWith('video/'));
  add(files.filter(({ file }) => !file.type.startsWith('video/')));
  if (!video) return;
  location.hash = '#video';
  await showView();
  (await loaded.video).load(video.file);
});
startPhotos();
startExport();
document.addEventListener('click', closeMenus);
document.addEventListener('keydown', closeMenus);
addEventListener('hashchange', showView);
showView();
watchServer();
startIntro();
