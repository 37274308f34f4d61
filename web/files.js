// Where images come in: chosen, pasted, dropped; folders are read with all that is in them.
import { $ } from './dom.js';

const IMAGE = /\.(avif|bmp|gif|hei[cf]|jfif|jpe?g|p[abgnp]m|png|svg|tiff?|webp)$/i;
const isImage = (file) => /^image\//.test(file.type) || IMAGE.test(file.name);

const named = (file, path) => ({ file, name: path || file.webkitRelativePath || file.name || 'pasted image' });

/** All files of a folder, with their paths; a browser hands out about a hundred entries at a time. */
async function readFolder(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const entries = await new Promise((done, fail) => { reader.readEntries(done, fail); });
    if (!entries.length) return found;
    for (const entry of entries) found.push(...await readEntry(entry, true));
  }
}

async function readEntry(entry, inFolder) {
  if (entry.isDirectory) return readFolder(entry);
  const file = await new Promise((done, fail) => { entry.file(done, fail); });
  // What else lies in a folder is not meant.
  return inFolder && !isImage(file) ? [] : [named(file, entry.fullPath.replace(/^\//, ''))];
}

async function dropped(transfer) {
  // The list is emptied once the event is over, so all entries are taken before anything is waited for.
  const taken = [...transfer.items].filter((item) => item.kind === 'file')
    .map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  const found = [];
  for (const { entry, file } of taken) {
    if (entry?.isDirectory) found.push(...await readEntry(entry, true).catch(() => []));
    else if (file) found.push(named(file));
  }
  return found;
}

/** `add(files)` gets all that comes in, as { file, name }. */
export function takeFiles(add) {
  for (const id of ['files', 'folder']) {
    $(id).addEventListener('change', (event) => {
      const files = [...event.target.files];
      add((id === 'folder' ? files.filter(isImage) : files).map((file) => named(file)));
      // The same file can be chosen again.
      event.target.value = '';
    });
  }
  for (const element of document.querySelectorAll('[data-choose]')) {
    element.addEventListener('click', () => $(element.dataset.choose).click());
  }
  document.addEventListener('paste', (event) => add([...event.clipboardData?.files ?? []].map((file) => named(file))));
  let depth = 0;
  const over = (change) => document.body.classList.toggle('over', (depth = Math.max(0, depth + change)) > 0);
  document.addEventListener('dragenter', () => over(1));
  document.addEventListener('dragleave', () => over(-1));
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', async (event) => {
    event.preventDefault();
    over(-depth);
    if (event.dataTransfer) add(await dropped(event.dataTransfer));
  });
}
