"""JavaScript of the page, which Gradio runs in the browser."""

# Gradio's own gr.Examples can't fill a gr.Image without server-side rendering
# (https://github.com/gradio-app/gradio/issues/12893).
SEND_CLICKED_EXAMPLE = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (button) trigger('click', {index: Number(button.dataset.index)});
});
"""
# A new image makes the heatmap on the page wrong; without an image there is no heatmap.
PREPARE_HEATMAP = "(image) => [{__type__: 'update', interactive: Boolean(image)}, '']"
ANNOUNCE_CHANGES = "element.setAttribute('role', 'status');"
# Gradio refuses files by their suffix in the browser; its message is replaced by ours.
REPHRASE_REFUSAL = """
new MutationObserver(() => {
  for (const toast of document.querySelectorAll('[data-testid="toast-text"]')) {
    const name = /^Invalid file types?: (.*)\\. Only .* allowed/.exec(toast.textContent)?.[1];
    if (name) toast.textContent = `${name} is not an image. Choose a JPEG, PNG, BMP, TIFF, WebP, `
      + 'GIF, AVIF or JPEG 2000 file.';
  }
}).observe(document.body, {childList: true, subtree: true});
"""
