"use strict";
// The pictures of the layers and their legends. Texts come from files: they are only ever set as text, never as HTML.
window.PAGE = (() => {
  const product = window.PRODUCT;
  const at = (id) => document.getElementById(id);
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const layers = Object.fromEntries(product.layers.map((layer) => [layer.id, layer]));

  // Whether there is a picture: what is empty has none, and asking for it would be an error of the page.
  const isThere = (layer, zoom, x, y) => {
    if (!layer.there) return true;  // not listed by its builder
    const runs = (layer.there[zoom] || {})[x] || [];
    for (let i = 0; i < runs.length; i += 2) if (runs[i] <= y && y <= runs[i + 1]) return true;
    return false;
  };
  const EMPTY = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
  const Pictures = L.TileLayer.extend({
    _initTile(tile) {
      L.TileLayer.prototype._initTile.call(this, tile);
      tile.style.setProperty("--side", tile.style.width);
    },
    getTileUrl(coords) {
      const zoom = this._getZoomForUrl();
      const across = 2 ** zoom;
      const x = ((coords.x % across) + across) % across;  // beyond 180 degrees
      if (!isThere(this.options.layer, zoom, x, coords.y)) return EMPTY;
      return `layers/${this.options.layer.id}/${zoom}/${x}/${coords.y}.png`;
    },
  });

  const swatch = (colour, text, name) => {
    const line = make("div");
    const box = make("span", undefined, `swatch ${name || ""}`);
    if (colour) box.style.background = colour;
    line.append(box, text);
    return line;
  };
  const legendOf = (layer) => {
    const lines = [make("div", layer.title, "legend-title")];
    for (const [colour, text] of layer.swatches || []) lines.push(swatch(colour, text));
    if (layer.ramp && layer.ramp.length) {
      const ramp = make("div", undefined, "ramp");
      ramp.style.background = `linear-gradient(to right, ${layer.ramp.map(([p, c]) => `${c} ${100 * p}%`).join(", ")})`;
      const ends = make("div", undefined, "ends");
      ends.append(make("span", layer.ends[0]), make("span", layer.ends[1]));
      lines.push(ramp, ends);
      if (layer.above) lines.push(make("div", `Above 1: ${layer.above}.`, "note"));
    }
    return lines;
  };
  const legend = (shown) => {
    const lines = [...new Set(shown)].map((id) => layers[id]).filter((layer) => layer.bands).flatMap(legendOf);
    const swatches = new Map();  // layers of several dates share their lines
    for (const id of shown) {
      for (const [colour, name] of (product.legends && product.legends[id]) || []) swatches.set(name, colour);
    }
    for (const [name, colour] of swatches) lines.push(swatch(colour, name));
    lines.push(swatch("", "not mapped", "not-mapped"));
    if (shown.includes(product.map)) {
      lines.push(make("div", `When zoomed out, the colour shows the share of ${product.classes[1]} pixels.`, "note"));
    }
    if (shown.includes("input") && shown.includes("image")) {
      lines.push(make("div", "Input and super-resolved image have separate contrast stretches: compare shapes, not brightness.", "note"));
    }
    at("legend").replaceChildren(...lines);
  };

  return { product, at, make, layers, isThere, EMPTY, Pictures, legend };
})();
