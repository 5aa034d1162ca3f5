// Gradio shows "queue: 4/9 | 1.2/6.5s" while a result is computed; the page says it in words.
const block = element.closest('.block');
const thing = block.id === 'heatmap' ? 'heatmap' : 'image';

const before = (number) => {
  if (number === 0) return `Your ${thing} is next`;
  return `${number} other ${thing}${number === 1 ? ' is' : 's are'} before yours`;
};
const words = (text) => {
  const place = /queue: (\d+)\//.exec(text)?.[1];
  const [, passed, whole] = /([\d.]+)\/([\d.]+)s/.exec(text) ?? [];
  if (!place) return thing === 'image' ? 'Answering …' : 'Computing the heatmap …';
  // After a longer time than was estimated, the estimate is wrong.
  const left = Math.ceil(whole - passed) > 0 ? `: about ${Math.ceil(whole - passed)}\u00a0s` : '';
  return `${before(place - 1)}${left}`;
};

new MutationObserver(() => {
  const shown = block.querySelector('.progress-text');
  if (shown) shown.dataset.words = words(shown.textContent);
}).observe(block, {childList: true, subtree: true, characterData: true});
