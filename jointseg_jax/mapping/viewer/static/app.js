"use strict";
// The map with its two sides, and everything that the reader moves.
(() => {
  const { product, at, make, layers, EMPTY, Pictures, legend, follow, drawTiles, fillDates, polygons } = window.PAGE;
  const [west, south, east, north] = product.bounds;
  const [first, last] = product.zooms;
  const map = L.map("map", { minZoom: first, maxZoom: last + 2, zoomSnap: 0.5, zoomAnimation: false });
  map.attributionControl.setPrefix("Leaflet");
  L.control.scale({ imperial: false }).addTo(map);
  map.createPane("divider").style.zIndex = 640;  // under popups
  map.getPane("divider").append(at("divider"));
  const sides = {};
  for (const side of ["left", "right"]) {
    const pane = map.createPane(side);
    pane.style.zIndex = side === "left" ? 210 : 220;
    sides[side] = { pane, layer: null };
  }

  const show = (side, id) => {
    const state = sides[side];
    if (state.layer) state.layer.remove();
    state.layer = new Pictures("", {
      layer: layers[id], pane: side, errorTileUrl: EMPTY, minZoom: first, maxZoom: last + 2, minNativeZoom: first, maxNativeZoom: last,
      bounds: [[south, west], [north, east]],
    }).addTo(map);
    at(`${side}-title`).textContent = layers[id].title;
    fade();
    legend([at("left").value, at("right").value]);
  };
  const fade = () => { sides.right.layer && sides.right.layer.setOpacity(at("opacity").value / 100); };

  // The left side is shown left of the divider; the right side right of it, so that opacity lets the left through
  // only where the two overlap: with less than full opacity the left side is drawn everywhere.
  const clip = () => {
    const size = map.getSize();
    const x = size.x * at("slider").value / 1000;
    map.getContainer().classList.toggle("between", map.getZoom() % 1 !== 0);
    const corner = map.containerPointToLayerPoint([0, 0]);
    const end = map.containerPointToLayerPoint(size);
    const under = Number(at("opacity").value) < 100 ? end.x : corner.x + x;
    sides.left.pane.style.clip = `rect(${corner.y}px, ${under}px, ${end.y}px, ${corner.x}px)`;
    sides.right.pane.style.clip = `rect(${corner.y}px, ${end.x}px, ${end.y}px, ${corner.x + x}px)`;
    Object.assign(at("divider").style, { left: `${corner.x + x}px`, top: `${corner.y}px`, height: `${size.y}px` });
  };

  document.title = product.title;
  at("title").textContent = product.title;
  at("about").textContent = product.description;
  const share = product.mapped_km2 > 0 ? `, ${(100 * product.label_km2 / product.mapped_km2).toFixed(1)} % ${product.label}` : "";
  const count = product.tiles.length ?? product.tiles;
  at("figures").textContent =
    `${product.mapped_km2.toLocaleString("en", { maximumFractionDigits: 3 })} km² mapped in ${count} tile${count === 1 ? "" : "s"}${share}`;
  const before = layers.input ? "input" : layers.image ? "image" : product.layers[0].id;
  for (const [side, chosen] of [["left", product.left || before], ["right", product.right || product.map]]) {
    for (const layer of product.layers) {
      const option = make("option", layer.title);
      option.value = layer.id;
      at(side).append(option);
    }
    at(side).value = chosen;
  }
  const [left, bottom, right, top] = product.view;
  map.fitBounds([[bottom, left], [top, right]]);
  for (const side of ["left", "right"]) {
    at(side).addEventListener("change", () => show(side, at(side).value));
    show(side, at(side).value);
  }
  if (product.dates) {
    const names = at("date-name");
    const chosen = () => product.dates.findIndex((d) => d.layer === at("right").value);
    const nameDate = () => {
      if (chosen() >= 0) at("date").value = chosen();
      names.textContent = chosen() >= 0 ? product.dates[chosen()].label : "-";
    };
    at("dates").hidden = false;
    at("date").max = product.dates.length - 1;
    at("date").addEventListener("input", () => {
      at("right").value = product.dates[Number(at("date").value)].layer;
      show("right", at("right").value);
      nameDate();
    });
    at("right").addEventListener("change", nameDate);
    nameDate();
  }
  at("opacity").addEventListener("input", () => { fade(); clip(); });
  at("slider").addEventListener("input", clip);
  map.on("move zoom resize viewreset", clip);
  clip();
  fillDates();
  drawTiles(map);
  polygons(map, product.table);
  follow(map);
  window.viewer = { map };
})();
