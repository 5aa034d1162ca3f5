// Zooms and moves the photograph and the heatmap over it alike, by CSS variables of #viewer.
const viewer = element.closest('#viewer');
const LARGEST = 16;  // screen pixels for one pixel of the image
const view = {zoom: 1, x: 0, y: 0};  // 1: the image fills the frame
const button = (name) => element.querySelector(`[data-zoom="${name}"]`);
const picture = () => viewer.querySelector('.image-frame img');

// CSS pixels for one pixel of the image: as it fills the frame, and at 1:1 on the screen.
const fit = (img) =>
  Math.min(img.offsetWidth / img.naturalWidth, img.offsetHeight / img.naturalHeight);
const whole = () => 1 / devicePixelRatio;

const show = () => {
  const img = picture();
  if (!img?.naturalWidth || !img.offsetWidth) return;
  const full = fit(img);
  view.zoom = Math.min(Math.max(view.zoom, Math.min(1, whole() / full)), LARGEST * whole() / full);
  const scale = full * view.zoom;
  const room = (image, frame) => Math.max(0, (image * scale - frame) / 2);
  const [across, down] = [room(img.naturalWidth, img.offsetWidth),
    room(img.naturalHeight, img.offsetHeight)];
  view.x = Math.min(Math.max(view.x, -across), across);
  view.y = Math.min(Math.max(view.y, -down), down);
  viewer.style.setProperty('--zoom', view.zoom);
  viewer.style.setProperty('--x', `${view.x}px`);
  viewer.style.setProperty('--y', `${view.y}px`);
  viewer.classList.toggle('crisp', scale >= 2 * whole());
  viewer.classList.toggle('movable', across + down > 0);
  element.querySelector('output').value = `${Math.round(100 * scale / whole())}\u00a0%`;
  button('fit').setAttribute('aria-pressed', Math.abs(view.zoom - 1) < 1e-6);
  button('1').setAttribute('aria-pressed', Math.abs(scale - whole()) < 1e-6);
};

const zoomTo = (zoom) => {
  const growth = zoom / view.zoom;
  Object.assign(view, {zoom, x: view.x * growth, y: view.y * growth});
  show();
};
const actions = {
  fit: () => zoomTo(1),
  1: () => zoomTo(whole() / fit(picture())),
  in: () => zoomTo(view.zoom * 1.5),
  out: () => zoomTo(view.zoom / 1.5),
  full: () => document.fullscreenElement ? document.exitFullscreen() : viewer.requestFullscreen(),
  other: () => viewer.querySelector('input[type=file]').click(),
};
const keys = {'+': 'in', '-': 'out', 0: 'fit', 1: '1'};
const steps = {ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};

element.addEventListener('click', (event) => {
  actions[event.target.closest('button')?.dataset.zoom]?.();
});
element.addEventListener('keydown', (event) => {
  const step = steps[event.key];
  if (step) {
    view.x += 60 * step[0];
    view.y += 60 * step[1];
    show();
  } else if (keys[event.key]) {
    actions[keys[event.key]]();
  } else {
    return;
  }
  event.preventDefault();
});

const onPicture = (event) => event.target === picture();
viewer.addEventListener('pointerdown', (event) => {
  if (!onPicture(event) || event.button || !viewer.classList.contains('movable')) return;
  event.preventDefault();
  const from = {x: view.x - event.clientX, y: view.y - event.clientY};
  const move = (moved) => {
    view.x = from.x + moved.clientX;
    view.y = from.y + moved.clientY;
    show();
  };
  const end = new AbortController();
  document.addEventListener('pointermove', move, {signal: end.signal});
  for (const name of ['pointerup', 'pointercancel'])
    document.addEventListener(name, () => end.abort(), {signal: end.signal});
});
viewer.addEventListener('dblclick', (event) => {
  if (onPicture(event)) zoomTo(view.zoom === 1 ? Math.max(2, whole() / fit(picture())) : 1);
});
// Pinching on a touchpad arrives as a turned wheel with Ctrl.
viewer.addEventListener('wheel', (event) => {
  if (!event.ctrlKey || !onPicture(event)) return;
  event.preventDefault();
  zoomTo(view.zoom * Math.exp(-event.deltaY / 200));
}, {passive: false});
// `load` does not bubble. Each new image fills the frame again.
viewer.addEventListener('load', (event) => {
  if (onPicture(event)) zoomTo(1);
}, true);
new ResizeObserver(show).observe(viewer);
// Phones that can't show an element on the whole screen get no button for it.
button('full').hidden = !document.fullscreenEnabled;
