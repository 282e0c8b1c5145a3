"use strict";
// Texts come from files: they are only ever set as text, never as HTML.
(() => {
  const product = window.PRODUCT;
  const at = (id) => document.getElementById(id);
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const [west, south, east, north] = product.bounds;
  const [first, last] = product.zooms;
  const map = L.map("map", { minZoom: first, maxZoom: last + 2, zoomSnap: 0.5, zoomAnimation: false });
  map.attributionControl.setPrefix("Leaflet");
  L.control.scale({ imperial: false }).addTo(map);
  const sides = {};
  for (const side of ["left", "right"]) {
    const pane = map.createPane(side);
    pane.style.zIndex = side === "left" ? 210 : 220;
    sides[side] = { pane, layer: null };
  }

  const show = (side, id) => {
    const state = sides[side];
    if (state.layer) state.layer.remove();
    // Pictures without anything in them are not there; the transparent one stands for them.
    state.layer = L.tileLayer(`layers/${id}/{z}/{x}/{y}.png`, {
      pane: side, minZoom: first, maxZoom: last + 2, minNativeZoom: first, maxNativeZoom: last,
      bounds: [[south, west], [north, east]],
      errorTileUrl: "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==",
    }).addTo(map);
    at(`${side}-title`).textContent = product.layers.find((l) => l.id === id).title;
    if (side === "right") at("right-title").dataset.layer = id;
    fade();
    legend();
  };
  const fade = () => { sides.right.layer && sides.right.layer.setOpacity(at("opacity").value / 100); };

  // The left side is shown left of the divider; the right side right of it, so that opacity lets the left through
  // only where the two overlap: with less than full opacity the left side is drawn everywhere.
  const clip = () => {
    const size = map.getSize();
    const x = size.x * at("slider").value / 1000;
    const corner = map.containerPointToLayerPoint([0, 0]);
    const end = map.containerPointToLayerPoint(size);
    const under = Number(at("opacity").value) < 100 ? end.x : corner.x + x;
    sides.left.pane.style.clip = `rect(${corner.y}px, ${under}px, ${end.y}px, ${corner.x}px)`;
    sides.right.pane.style.clip = `rect(${corner.y}px, ${end.x}px, ${end.y}px, ${corner.x + x}px)`;
    at("divider").style.left = `${x}px`;
  };

  const legend = () => {
    const box = at("legend");
    box.replaceChildren();
    const shown = [at("left").value, at("right").value];
    const swatches = new Map();  // layers of several dates share their lines
    for (const id of shown) {
      for (const [colour, name] of (product.legends && product.legends[id]) || []) swatches.set(name, colour);
    }
    for (const [name, colour] of swatches) {
      const line = make("div");
      const swatch = make("span", undefined, "swatch");
      swatch.style.background = colour;
      line.append(swatch, name);
      box.append(line);
    }
    if (shown.includes("impervious")) {
      for (const [value, name] of [["1", product.classes[1]], ["0", product.classes[0]]]) {
        const line = make("div");
        const swatch = make("span", undefined, "swatch");
        swatch.style.background = product.colours[value];
        line.append(swatch, name);
        box.append(line);
      }
      box.append(make("div", `When zoomed out, the colour shows the share of ${product.classes[1]} pixels. Grey is not mapped.`, "note"));
    }
    if (shown.includes("input") && shown.includes("image")) {
      box.append(make("div", "Input and super-resolved image have separate contrast stretches: compare shapes, not brightness.", "note"));
    }
    if (shown.includes("probability")) {
      const ramp = make("div", undefined, "ramp");
      ramp.style.background = `linear-gradient(to right, ${product.colours["0"]}, ${product.colours["1"]})`;
      const ends = make("div", undefined, "ends");
      ends.append(make("span", "0"), make("span", "probability"), make("span", "1"));
      box.append(ramp, ends);
    }
  };

  const outlines = () => {
    const renderer = L.canvas({ padding: 0.2 });
    for (const [w, s, e, n] of product.boxes) {
      L.rectangle([[s, w], [n, e < w ? e + 360 : e]],
        { renderer, interactive: false, fill: false, color: "#333", weight: 1, opacity: 0.6 }).addTo(map);
    }
  };

  const table = (content) => {
    if (!content) return;
    at("table").hidden = false;
    const numeric = content.columns.map((_, c) => content.rows.every((r) => r[c] === "" || !isNaN(Number(r[c]))));
    const format = (text, name, isNumber) => {
      if (text === "") return "–";
      if (!isNumber) return text;
      if (name === "share" || name === "coverage") return `${(100 * Number(text)).toFixed(1)} %`;
      return name.endsWith("km2") ? Number(text).toLocaleString("en", { maximumFractionDigits: 3 }) : text;
    };
    const order = content.rows.map((_, i) => i);
    const draw = () => {
      at("table").tBodies[0].replaceChildren(...order.map((i) => {
        const row = make("tr");
        row.tabIndex = 0;
        content.rows[i].forEach((text, c) =>
          row.append(make("td", format(text, content.columns[c], numeric[c]), numeric[c] ? "number" : "")));
        if (!content.boxes[i]) return row;  // an empty polygon lies nowhere
        const [w, s, e, n] = content.boxes[i];
        const go = () => map.fitBounds([[s, w], [n, e]], { maxZoom: last });
        row.addEventListener("click", go);
        row.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
        return row;
      }));
    };
    let sorted = -1;
    const heading = make("tr");
    content.columns.forEach((name, c) => {
      const cell = make("th", name.replace(/_km2$/, " km²"), numeric[c] ? "number" : "");
      cell.addEventListener("click", () => {
        const sign = sorted === c ? -1 : 1;
        sorted = sorted === c ? -1 : c;
        order.sort((i, j) => {
          const [a, b] = [content.rows[i][c], content.rows[j][c]];
          if (a === "" || b === "") return (a === "") - (b === "");  // what is not known comes last
          return sign * (numeric[c] ? Number(a) - Number(b) : a.localeCompare(b));
        });
        draw();
      });
      heading.append(cell);
    });
    at("table").tHead.append(heading);
    draw();
  };

  document.title = product.title;
  at("title").textContent = product.title;
  at("about").textContent = product.description;
  const share = product.mapped_km2 > 0 ? `, ${(100 * product.label_km2 / product.mapped_km2).toFixed(1)} % ${product.label}` : "";
  at("figures").textContent =
    `${product.mapped_km2.toLocaleString("en", { maximumFractionDigits: 3 })} km² mapped in ${product.tiles} tiles${share}`;
  const ids = product.layers.map((l) => l.id);
  const before = ids.includes("input") ? "input" : ids.includes("image") ? "image" : ids[0];
  for (const [side, chosen] of [["left", product.left || before], ["right", product.right || "impervious"]]) {
    for (const layer of product.layers) {
      const option = make("option", layer.title);
      option.value = layer.id;
      at(side).append(option);
    }
    at(side).value = chosen;
  }
  map.fitBounds([[south, west], [north, east]]);
  for (const side of ["left", "right"]) {
    at(side).addEventListener("change", () => show(side, at(side).value));
    show(side, at(side).value);
  }
  if (product.dates) {
    const names = at("date-name");
    const chosen = () => product.dates.findIndex((d) => d.layer === at("right").value);
    const follow = () => {
      if (chosen() >= 0) at("date").value = chosen();
      names.textContent = chosen() >= 0 ? product.dates[chosen()].label : "-";
    };
    at("dates").hidden = false;
    at("date").max = product.dates.length - 1;
    at("date").addEventListener("input", () => {
      at("right").value = product.dates[Number(at("date").value)].layer;
      show("right", at("right").value);
      follow();
    });
    at("right").addEventListener("change", follow);
    follow();
  }
  at("opacity").addEventListener("input", () => { fade(); clip(); });
  at("slider").addEventListener("input", clip);
  map.on("move zoom resize viewreset", clip);
  clip();
  outlines();
  table(product.table);
  window.viewer = { map };
})();
