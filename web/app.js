// The web console: where pictures come in. Talks to this server only: GET /model, POST /faces.
import { toggleCamera } from './camera.js';
import { $, settings } from './faces.js';
import { add, clear, save, showAs } from './pictures.js';

async function showModel() {
  const pill = $('model');
  try {
    const response = await fetch('/model', { headers: settings().headers });
    if (response.status === 401) {
      // Asked again when a key is put in.
      pill.textContent = 'The server asks for an API key: see Settings.';
      pill.dataset.state = 'asking';
      return;
    }
    if (!response.ok) throw new Error();
    const model = await response.json();
    pill.textContent = `Model ${model.name} ${model.version}, ${model.engine} ${model.precision} on ${model.device}`;
    pill.dataset.state = 'ready';
  } catch {
    pill.textContent = 'The server has no model ready yet.';
    pill.dataset.state = 'asking';
    setTimeout(showModel, 2000);
  }
}

$('files').addEventListener('change', (event) => {
  add(event.target.files);
  // The same file can be chosen again.
  event.target.value = '';
});
$('camera').addEventListener('click', toggleCamera);
$('csv').addEventListener('click', save);
$('clear').addEventListener('click', clear);
for (const view of ['cards', 'table']) $(`view-${view}`).addEventListener('change', () => showAs(view));
$('settings').addEventListener('submit', (event) => event.preventDefault());
$('key').addEventListener('change', showModel);
document.addEventListener('paste', (event) => add(event.clipboardData?.files ?? []));
let dragged = 0;
document.addEventListener('dragenter', () => document.body.classList.toggle('over', (dragged += 1) > 0));
document.addEventListener('dragleave', () => document.body.classList.toggle('over', (dragged -= 1) > 0));
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  dragged = 0;
  document.body.classList.remove('over');
  add(event.dataTransfer?.files ?? []);
});
showModel();
