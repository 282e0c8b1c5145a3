"use strict";
// The numbers under the cursor: scripts that hold the stored numbers as PNGs are loaded where the cursor rests.
(() => {
  const { product, at, make, isThere } = window.PAGE;
  const SIDE = 256;
  const MOST = 64;  // pictures kept
  const last = product.zooms[1];
  const kept = new Map();  // name -> a promise of RGBA
  const waiting = {};

  window.NUMBERS = (name, png) => {
    const image = new Image();
    image.onload = () => {
      const canvas = make("canvas");
      canvas.width = canvas.height = SIDE;
      const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
      context.drawImage(image, 0, 0);
      waiting[name](context.getImageData(0, 0, SIDE, SIDE).data);
      delete waiting[name];
    };
    image.src = `data:image/png;base64,${png}`;
  };

  const numbersOf = (layer, x, y) => {
    const name = `${layer.id}/${last}/${x}/${y}`;
    if (!kept.has(name)) {
      kept.set(name, new Promise((resolve) => {
        waiting[name] = resolve;
        const script = make("script");
        script.src = `numbers/${name}.js`;
        script.onload = () => script.remove();
        script.onerror = () => { script.remove(); kept.delete(name); resolve(null); };
        document.head.append(script);
      }));
      if (kept.size > MOST) kept.delete(kept.keys().next().value);
    }
    return kept.get(name);
  };

  const inWords = (layer, stored) => {
    if (!stored || stored[0] === 255) return null;
    if (layer.names[stored[0]] !== undefined) return layer.names[stored[0]];
    const [value, ...ends] = layer.bands.map((_, band) => stored[band] / layer.divide);
    const text = value.toFixed(layer.divide > 100 ? 3 : 2);
    if (ends.length === 2) return `${text} (${ends.map((end) => end.toFixed(3)).join(" to ")})`;
    return value > 1 && layer.above ? `${text}: ${layer.above}` : text;
  };

  let asked = 0;
  const show = async (map, place) => {
    const number = ++asked;
    const across = SIDE * 2 ** last;
    const point = map.project(place, last);
    const px = ((Math.floor(point.x) % across) + across) % across, py = Math.floor(point.y);
    const [x, y] = [Math.floor(px / SIDE), Math.floor(py / SIDE)];
    const from = 4 * ((py - y * SIDE) * SIDE + (px - x * SIDE));
    const readable = product.layers.filter((layer) => layer.bands);
    const found = await Promise.all(readable.map(async (layer) => {
      if (!isThere(layer, last, x, y)) return null;
      const data = await numbersOf(layer, x, y);
      return data && inWords(layer, data.slice(from, from + 3));
    }));
    if (number !== asked) return;  // the cursor has moved on
    const lines = [];
    readable.forEach((layer, i) => {
      if (found[i] !== null) lines.push(make("dt", layer.title.replace(/, \d+ m$/, "")), make("dd", found[i]));
    });
    if (!lines.length) lines.push(make("dt", "map"), make("dd", "not mapped"));
    const place_ = place.wrap();
    lines.push(make("dt", "place"), make("dd", `${place_.lat.toFixed(5)}, ${place_.lng.toFixed(5)}`));
    at("values").replaceChildren(...lines);
  };

  window.PAGE.follow = (map) => {
    at("values-title").hidden = at("values").hidden = !product.layers.some((layer) => layer.bands);
    if (at("values").hidden) return;
    let timer = 0;
    map.on("mousemove", (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => show(map, event.latlng), 60);
    });
    map.on("click", (event) => show(map, event.latlng));
    at("values").replaceChildren(make("dt", "map"), make("dd", "move the cursor over the map, or tap it"));
  };
})();
