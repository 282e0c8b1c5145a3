"use strict";
// Outlines of tiles, polygons, and their table.
(() => {
  const { product, at, make } = window.PAGE;
  const km2 = (value) => `${value.toLocaleString("en", { maximumFractionDigits: 3 })} km²`;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const days = (scene) => {
    if (!scene.first) return "date unknown";
    return scene.first === scene.last ? scene.first : `${scene.first} to ${scene.last}`;
  };
  // Popups stay clear of the titles of the layers.
  const SPACE = { autoPanPaddingTopLeft: [52, 76], autoPanPaddingBottomRight: [10, 40], maxWidth: 260 };
  const popup = (head, rows) => {
    const box = make("div", undefined, "popup");
    const body = make("table");
    for (const [name, text] of rows) {
      const row = make("tr");
      row.append(make("th", name), make("td", text));
      body.append(row);
    }
    box.append(make("strong", head), body);
    return box;
  };

  const drawTiles = (map) => {
    const renderer = L.canvas({ padding: 0.2 });
    for (const [w, s, e, n] of product.boxes || []) {
      L.rectangle([[s, w], [n, e < w ? e + 360 : e]],
        { renderer, interactive: false, fill: false, color: "#333", weight: 1, opacity: 0.6 }).addTo(map);
    }
    if (product.boxes) return;
    for (const tile of product.tiles) {
      const rows = [["mapped", km2(tile.mapped_km2)]];
      if (tile.share !== null) rows.push([product.label, percent(tile.share)]);
      for (const [number, share] of tile.scenes) {
        const scene = product.scenes[number];
        rows.push([days(scene), share === null ? scene.id : `${scene.id}, ${percent(share)} of the tile`]);
      }
      const style = { renderer, color: "#333", weight: 1, opacity: 0.6, fillOpacity: 0 };
      L.geoJSON(tile.outline, { style, coordsToLatLng: around }).bindPopup(() => popup(`Tile ${tile.name}`, rows), SPACE).addTo(map);
    }
  };
  // A product across 180 degrees is drawn in one piece.
  const around = ([x, y]) => L.latLng(y, x < product.bounds[0] - 1e-9 && product.bounds[2] > 180 ? x + 360 : x);

  const fillDates = () => {
    at("when").hidden = at("scenes-box").hidden = !product.scenes;
    if (!product.scenes) return;
    const known = product.scenes.filter((scene) => scene.first);
    const [first, end] = [known.map((s) => s.first).sort()[0], known.map((s) => s.last).sort().pop()];
    const count = `${product.scenes.length} scene${product.scenes.length === 1 ? "" : "s"}`;
    const unknown = product.scenes.length - known.length;
    at("when").textContent = known.length
      ? `${count}, ${first === end ? first : `${first} to ${end}`}${unknown ? `; the date of ${unknown} is unknown` : ""}`
      : `${count}, dates unknown`;
    const shown = [...product.scenes].sort((a, b) => a.first.localeCompare(b.first));
    at("scenes").replaceChildren(...shown.map((scene) => make("li", `${scene.id}: ${days(scene)}`)));
  };

  const format = (text, name, isNumber) => {
    if (text === "") return "–";
    if (!isNumber) return text;
    if (name === "share" || name === "coverage") return percent(Number(text));
    return name.endsWith("km2") ? Number(text).toLocaleString("en", { maximumFractionDigits: 3 }) : text;
  };
  const heading = (name) => name.replace(/_km2$/, " km²");

  const polygons = (map, content) => {
    if (!content) return;
    at("table").hidden = false;
    const last = product.zooms[1];
    const numeric = content.columns.map((_, c) => content.rows.every((r) => r[c] === "" || !isNaN(Number(r[c]))));
    const drawn = content.rows.map(() => null);
    const rows = content.rows.map(() => null);
    const plain = { color: "#111", weight: 2, opacity: 1, fillOpacity: 0.02 };
    let chosen = -1;
    const choose = (i) => {
      if (chosen >= 0) {
        rows[chosen].classList.remove("chosen");
        if (drawn[chosen]) drawn[chosen].setStyle(plain);
      }
      chosen = i;
      rows[i].classList.add("chosen");
      if (drawn[i]) drawn[i].setStyle({ color: "#000", weight: 4 });
    };
    const renderer = L.svg({ padding: 0.2 });
    (content.shapes || []).forEach((shape, i) => {
      if (!shape) return;
      // A light line under a dark one shows on any ground.
      L.geoJSON(shape, { style: { renderer, color: "#fff", weight: 5, opacity: 0.9, fill: false }, interactive: false }).addTo(map);
      drawn[i] = L.geoJSON(shape, { style: { ...plain, renderer } }).addTo(map);
      const about = content.columns.map((name, c) => [heading(name), format(content.rows[i][c], name, numeric[c])]);
      drawn[i].bindPopup(() => popup(`Polygon ${i + 1}`, about), SPACE);
      drawn[i].on("click", () => { choose(i); rows[i].scrollIntoView({ block: "nearest" }); });
    });

    const order = content.rows.map((_, i) => i);
    content.rows.forEach((texts, i) => {
      const row = rows[i] = make("tr");
      row.tabIndex = 0;
      texts.forEach((text, c) => row.append(make("td", format(text, content.columns[c], numeric[c]), numeric[c] ? "number" : "")));
      if (!content.boxes[i]) return;  // an empty polygon lies nowhere
      const [w, s, e, n] = content.boxes[i];
      const go = () => { choose(i); map.fitBounds([[s, w], [n, e]], { maxZoom: last }); };
      row.addEventListener("click", go);
      row.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
    });
    const draw = () => at("table").tBodies[0].replaceChildren(...order.map((i) => rows[i]));
    let sorted = -1;
    const headings = make("tr");
    content.columns.forEach((name, c) => {
      const cell = make("th", heading(name), numeric[c] ? "number" : "");
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
      headings.append(cell);
    });
    at("table").tHead.append(headings);
    draw();
  };

  Object.assign(window.PAGE, { drawTiles, fillDates, polygons });
})();
