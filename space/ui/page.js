// Files reach the page by pasting or dropping them anywhere: one goes to the open tab, several go
// to the tab that takes several.
const chooser = () => [...document.querySelectorAll('[role=tabpanel] input[type=file]')]
  .find((input) => input.closest('[role=tabpanel]').checkVisibility());
// Gradio builds a tab when it is opened first.
const chooserOf = async (tab) => {
  document.querySelector(`[role=tab][data-tab-id="${tab}"]`).click();
  for (let frame = 0; frame < 300; frame += 1) {
    await new Promise(requestAnimationFrame);
    if (chooser()?.multiple === (tab === 'many-images')) break;
  }
  return chooser();
};

const take = async (files) => {
  let input = chooser() ?? await chooserOf('one-image');
  if (files.length > 1 && !input.multiple) input = await chooserOf('many-images');
  const taken = new DataTransfer();
  for (const file of files) taken.items.add(file);
  input.files = taken.files;
  input.dispatchEvent(new Event('change', {bubbles: true}));
};

document.addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  take(files);
});

const carriesFiles = (event) => event.dataTransfer?.types.includes('Files');
let inside = 0;
const mark = (change) => {
  inside = change ? Math.max(0, inside + change) : 0;
  document.body.classList.toggle('dropping', inside > 0);
};
document.addEventListener('dragenter', (event) => { if (carriesFiles(event)) mark(1); });
document.addEventListener('dragleave', (event) => { if (carriesFiles(event)) mark(-1); });
document.addEventListener('dragover', (event) => {
  if (carriesFiles(event)) event.preventDefault();
});
// Before Gradio, which takes the first of several files and says nothing of the others.
document.addEventListener('drop', (event) => {
  mark(0);
  const files = [...(event.dataTransfer?.files ?? [])];
  // A zone of a tab may take folders, too.
  if (!files.length || event.target.closest('.many-drop')) return;
  event.preventDefault();
  event.stopPropagation();
  take(files);
}, true);

// Gradio refuses files by their suffix in the browser; its message is replaced by ours.
new MutationObserver(() => {
  for (const toast of document.querySelectorAll('[data-testid="toast-text"]')) {
    const name = /^Invalid file types?: (.*)\. Only .* allowed/.exec(toast.textContent)?.[1];
    if (name) toast.textContent = `${name} is not an image. Choose a JPEG, PNG, BMP, TIFF, WebP, `
      + 'GIF, AVIF or JPEG 2000 file.';
  }
}).observe(document.body, {childList: true, subtree: true});
