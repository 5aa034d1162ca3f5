// The strips: stitched pictures, their defects as buttons that show their images in the gallery.
const STRIPS_AT_ONCE = 5;
const strips = read("strip-cards");
const kinds = read("defect-labels");
let drawnStrips = 0;

const marker = (strip, defect, number) => {
  const name = `${defect.label} ${number}, strip ${strip.number}`;
  const [left, top, width, height] = defect.box;
  // At an edge the name of the class is on the other side.
  const sides = `${top + height > 80 ? " up" : ""}${left > 90 ? " end" : ""}`;
  const images = defect.images.length === 1 ? "1 image" : `${defect.images.length} images`;
  const made = element("button", { type: "button", className: `defect k${kinds.indexOf(defect.label) % 7}${sides}`, title: `${name}: in ${images}`,
    onclick: () => showOnly(name, defect.images) }, element("span", { textContent: defect.label }));
  Object.entries({ left, top, width, height }).forEach(([side, share]) => { made.style[side] = `${share}%`; });
  made.setAttribute("aria-label", `${name}: show ${images}`);
  return made;
};

const stripFigure = (strip) => {
  const [width, height] = strip.shown;
  const facts = [`${strip.images.length} images`, `${strip.size[0].toLocaleString("en")} × ${strip.size[1].toLocaleString("en")} px`,
    `${strip.defects.length === 1 ? "1 defect" : `${strip.defects.length} defects`} in ${strip.by_crop} of the images`,
    ...(strip.open ? [`${strip.open} unsure or unknown`] : []), ...(strip.upright ? ["shown turned by 90°"] : [])];
  const numbers = {};
  const markers = strip.defects.map((defect) => {
    numbers[defect.label] = (numbers[defect.label] ?? 0) + 1;
    return marker(strip, defect, numbers[defect.label]);
  });
  const caption = element("figcaption", {}, element("b", { textContent: `Strip ${strip.number}` }), ` ${facts.join(" · ")} `,
    element("button", { type: "button", className: "quiet", textContent: "Show its images", onclick: () => showOnly(`Strip ${strip.number}`, strip.images) }));
  if (!strip.picture) return element("figure", { className: "strip" }, caption);
  const surface = element("div", { className: "surface" },
    element("img", { src: strip.picture, alt: `The images of strip ${strip.number}, joined`, decoding: "async", width, height }), ...markers);
  surface.style.setProperty("--shown", `${width}px`);
  surface.style.setProperty("--ratio", width / height);
  const scroll = element("div", { className: "scroll", tabIndex: 0 }, surface);
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `Strip ${strip.number}`);
  return element("figure", { className: "strip" }, caption, scroll);
};

const drawStrips = () => {
  field("strips").append(...strips.slice(drawnStrips, drawnStrips + STRIPS_AT_ONCE).map(stripFigure));
  drawnStrips = Math.min(drawnStrips + STRIPS_AT_ONCE, strips.length);
  const left = strips.length - drawnStrips;
  field("more-strips").hidden = left === 0;
  field("more-strips").textContent = `Show ${Math.min(left, STRIPS_AT_ONCE)} of ${left} more strips`;
};

if (strips.length) {
  field("more-strips").addEventListener("click", drawStrips);
  drawStrips();
}
