// Files reach the page by pasting or dropping them anywhere; runs once, `element` is the header.
const notice = element.querySelector('.notice');
const say = (words) => { notice.textContent = words; };

// The file input of the open tab; from a tab without one, the page goes to the first tab.
const chooser = () => {
  const inputs = [...document.querySelectorAll('[role=tabpanel] input[type=file]')];
  const open = inputs.find((input) => input.closest('[role=tabpanel]').checkVisibility());
  if (!open) document.querySelector('[role=tab]')?.click();
  return open ?? inputs[0];
};

const take = (files) => {
  const input = chooser();
  if (!input) return;
  const taken = new DataTransfer();
  for (const file of input.multiple ? files : files.slice(0, 1)) taken.items.add(file);
  const left = files.length - taken.files.length;
  say(left ? `This tab takes one image at a time: ${files[0].name} was taken, `
    + `${left} other file${left > 1 ? 's were' : ' was'} not.` : '');
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
  if (!files.length) return;
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
