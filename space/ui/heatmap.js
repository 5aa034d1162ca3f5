// Shows, fades and hides the heatmap without the server, so it is smooth on a phone, too.
const heat = () => element.querySelector('.heat');
element.addEventListener('input', (event) => {
  if (event.target.type === 'range') heat().style.opacity = event.target.value / 100;
  if (event.target.type === 'checkbox') heat().hidden = !event.target.checked;
});
// The button that asked for it disappears; the keyboard goes on at the switch in its place.
new MutationObserver(() => {
  const lost = document.activeElement === document.body
    || document.activeElement?.closest('#ask-heatmap');
  if (lost) element.querySelector('input[type=checkbox]')?.focus({preventScroll: true});
}).observe(element, {childList: true, subtree: true});
