"use strict";
// The answers are untrusted text: everything goes through textContent, never through innerHTML.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const cards = read("cards").map((card, order) => ({ ...card, order, verdict: card.verdict ?? "error" }));
const names = read("verdicts");
const field = (id) => document.getElementById(id);
// Rows of 2 to 6 tiles are full.
const AT_ONCE = 60;
let shown = [];
let only = null;
let rowHeight = 280;

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
// Rows are rounded: a probability of 0 or 1 in them is seldom exact.
const percent = (share) => {
  if (share < 0.005) return "< 1 %";
  if (share >= 0.995) return "> 99 %";
  return `${Math.round(100 * share)} %`;
};
const ratio = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 });
const badge = (card) => element("span", { className: `badge ${card.verdict}`, textContent: names[card.verdict] });
// The defects that are named, or the most probable class.
const named = (card) => card.defects?.length ? card.defects : [card.label];
const answer = (card) => named(card).map((label) => `${label} ${percent(card.probabilities[label])}`).join(", ");
const headline = (card) => card.error ?? (card.verdict === "unknown" ? `Novelty ${ratio(card.novelty)} × the limit` : answer(card));
const picture = (card) => {
  if (!card.picture) return element("span", { className: "nothing", textContent: "no picture" });
  const image = element("img", { src: card.picture, alt: "", loading: "lazy", decoding: "async" });
  if (card.heatmap) {
    // On a phone, a finger shows what a mouse shows by resting on the picture.
    image.addEventListener("pointerenter", () => { image.src = card.heatmap; });
    image.addEventListener("pointerleave", () => { image.src = card.picture; });
  }
  return image;
};

const tile = (card) => {
  const file = card.path.split("/").pop();
  const button = element("button", { type: "button", title: card.path, onclick: () => detail(card) },
    picture(card), badge(card), element("b", { textContent: headline(card) }), element("small", { textContent: file }));
  return element("li", {}, button);
};

const bars = (card) => element("ul", { className: "bars" }, ...Object.entries(card.probabilities)
  .sort((a, b) => b[1] - a[1]).slice(0, 10).map(([label, share]) => {
    const fill = element("i");
    fill.style.width = `${100 * share}%`;
    return element("li", {}, element("span", { textContent: label }),
      element("span", { className: "bar" }, fill), element("b", { textContent: percent(share) }));
  }));

const detail = (card) => {
  const facts = card.error ? [] : [
    `${card.defects ? "Possible defects" : "Prediction set"}: ${card.prediction_set.join(", ") || "none"}`,
    ...(card.novelty === null ? [] : [`Novelty: ${ratio(card.novelty)} × the limit`]),
    `${card.bit_depth} bits`,
  ];
  const heatmap = card.heatmap ? [element("img", { src: card.heatmap, alt: `Where the image supports ${card.label}` })] : [];
  field("detail-content").replaceChildren(element("div", { className: "pictures" }, picture({ ...card, heatmap: null }), ...heatmap), badge(card),
    element("h2", { id: "detail-title", textContent: headline(card) }),
    element("p", { className: "path", textContent: card.path }),
    ...(card.probabilities ? [bars(card)] : []),
    element("p", { textContent: facts.join(" · ") }));
  field("detail").showModal();
};

// The gallery is a list of blocks, of which only those near the window have tiles: 5,000 tiles with
// their pictures would make every step slow. An empty block keeps the height of its tiles.
const near = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (isIntersecting) fill(target);
    else if (!target.contains(document.activeElement)) clear(target);
  }
}, { rootMargin: "1500px" });
const fill = (block) => {
  if (block.childElementCount) return;
  block.append(...shown.slice(block.first, block.first + AT_ONCE).map(tile));
  block.style.minHeight = "";
  rowHeight = block.offsetHeight / rowsOf(block, columnsNow()) || rowHeight;
};
const clear = (block) => {
  if (!block.childElementCount) return;
  block.style.minHeight = `${block.offsetHeight}px`;
  block.replaceChildren();
};
const blocks = () => [...field("gallery").children];
const columnsNow = () => getComputedStyle(blocks()[0]).gridTemplateColumns.split(" ").length;
const rowsOf = (block, columns) => Math.ceil(Math.min(AT_ONCE, shown.length - block.first) / columns);
const reserve = () => {
  if (!shown.length) return;
  const columns = columnsNow();
  for (const block of blocks()) {
    if (!block.childElementCount) block.style.minHeight = `${Math.round(rowsOf(block, columns) * rowHeight)}px`;
  }
};
const draw = () => {
  near.disconnect();
  field("gallery").replaceChildren();
  for (let first = 0; first < shown.length; first += AT_ONCE) {
    field("gallery").append(Object.assign(element("ul", { className: "gallery" }), { first }));
  }
  // The first block shows how tall a row is.
  if (shown.length) fill(blocks()[0]);
  reserve();
  blocks().forEach((block) => near.observe(block));
};

const ORDERS = {
  order: (a, b) => a.order - b.order,
  confidence: (a, b) => (a.confidence ?? -1) - (b.confidence ?? -1) || a.order - b.order,
  novelty: (a, b) => (b.novelty ?? -1) - (a.novelty ?? -1) || a.order - b.order,
};
const update = () => {
  const [verdict, label, name] = ["verdict", "label", "name"].map((id) => field(id).value);
  shown = cards.filter((card) => (!only || only.has(card.order)) && (!verdict || card.verdict === verdict) && (!label || (!card.error && named(card).includes(label)))
    && card.path.toLowerCase().includes(name.toLowerCase())).sort(ORDERS[field("order").value]);
  field("count").textContent = `${shown.length.toLocaleString("en")} of ${cards.length.toLocaleString("en")} images`;
  for (const total of document.querySelectorAll(".total")) {
    total.setAttribute("aria-pressed", String(total.dataset.verdict === verdict));
  }
  draw();
};

// Only these images, as a click on a strip or a defect asks for; null for all.
const showOnly = (name, orders) => {
  only = orders && new Set(orders);
  if (only) ["verdict", "label", "name"].forEach((id) => { field(id).value = ""; });
  field("only").hidden = !only;
  field("only").textContent = `${name} ✕`;
  field("only").setAttribute("aria-label", `${name}: show all images again`);
  update();
  if (only) document.querySelector(".filters").scrollIntoView();
};

for (const id of ["verdict", "label", "order"]) field(id).addEventListener("change", update);
field("name").addEventListener("input", update);
document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
for (const total of document.querySelectorAll(".total")) {
  total.addEventListener("click", () => {
    const { verdict } = total.dataset;
    field("verdict").value = field("verdict").value === verdict ? "" : verdict;
    update();
  });
}
window.addEventListener("resize", reserve);
field("only").addEventListener("click", () => showOnly("", null));
update();
