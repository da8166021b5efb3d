"use strict";
/* Drawings in SVG, with nothing but attributes: what was saved each day, shares, and what is made of what. */

const SVG = "http://www.w3.org/2000/svg";

function svg(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/** Bars of the round trips saved on each of the last `many` days, to today, `room` pixels wide. */
function savingsChart(days, today, room, many) {
  const known = new Map(days.map((day) => [day.day, day]));
  const listed = Array.from({ length: many }, (_, i) => {
    const at = new Date(today.getTime() - (many - 1 - i) * 86400000);
    return [at, known.get(at.toISOString().slice(0, 10))];
  });
  const saved = listed.map(([, day]) => day?.round_trips_saved ?? 0);
  const most = Math.max(...saved);
  const top = niceTop(Math.max(1, most));
  const [width, height, bottom, above] = [Math.max(280, room), 240, 26, 22];
  const left = 14 + 7 * number.format(top).length;
  const plot = height - bottom - above;
  const step = (width - left) / many;
  const total = saved.reduce((sum, value) => sum + value, 0);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img",
    "aria-label": `Round trips saved a day, last ${many} days: ${number.format(total)} together, at most ${number.format(most)} a day` });
  for (const part of [0, 0.5, 1]) {
    const y = above + plot * (1 - part);
    chart.append(svg("line", { x1: left, x2: width, y1: y, y2: y, class: part ? "grid" : "axis" }));
    if (part !== 0.5 || Number.isInteger(top / 2)) chart.append(svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, number.format(top * part)));
  }
  const beside = Math.max(1, Math.ceil(58 / step / (many > 30 ? 15 : 7))) * (many > 30 ? 15 : 7);
  const peak = saved.lastIndexOf(most);
  listed.forEach(([at, day], i) => {
    const tall = (plot * saved[i]) / top;
    const x = left + i * step;
    const gap = step > 8 ? 2 : 0.75;
    const bar = svg("g", { class: "day" });
    bar.append(svg("title", {}, day ? `${dayName.format(at)}: ${count(saved[i], "round trip", "round trips")} saved by ${count(day.runs, "run", "runs")}; ${number.format(day.failures)} failed, ${number.format(day.divergences)} stopped at a guard` : `${dayName.format(at)}: no run`));
    bar.append(svg("rect", { x, y: above, width: step, height: plot, class: "room" }));
    if (saved[i]) bar.append(svg("rect", { x: x + gap, y: above + plot - tall, width: Math.max(1, step - 2 * gap), height: tall, rx: Math.min(2, step / 4), class: "bar" }));
    chart.append(bar);
    if (most && i === peak) chart.append(svg("text", { x: Math.min(width - 12, Math.max(left + 10, x + step / 2)), y: above + plot - tall - 6, "text-anchor": "middle", class: "peak" }, number.format(most)));
    if ((many - 1 - i) % beside === 0) {
      const last = i === many - 1;
      const middle = Math.max(left + 14, x + step / 2);
      chart.append(svg("text", { x: last ? width : middle, y: height - 6, "text-anchor": last ? "end" : "middle" }, last ? "today" : dayName.format(at)));
    }
  });
  return chart;
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const top = [1, 2, 4, 5, 10].map((part) => part * power).find((part) => part >= value);
  return Math.max(2, top);
}

/** A bar as long as its share. */
const share = (value, whole) => svg("svg", { class: "share", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
  svg("rect", { width: 100, height: 4, class: "room" }), svg("rect", { width: Math.max(0.5, (100 * value) / whole), height: 4, class: "bar" }));

const COLUMNS = [["tool", "Tools"], ["workflow", "Workflows"], ["learned tool", "Learned tools"]];
const DRAWN = 30; // nodes of a column; what is more stands in the list below the drawing

/** What of a long text fits into a box: its beginning and its last letters, which tell like names apart. */
function fitting(text, room) {
  const pen = (fitting.pen ??= Object.assign(document.createElement("canvas").getContext("2d"), { font: "13px system-ui, sans-serif" }));
  if (pen.measureText(text).width <= room) return text;
  const letters = [...text];
  const cut = (many) => `${letters.slice(0, many - 8).join("")}…${letters.slice(-8).join("")}`;
  let [low, high] = [8, Math.min(letters.length, 200)];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(cut(middle)).width <= room) low = middle; else high = middle - 1;
  }
  return cut(low);
}

/** The columns to draw: of `left` (or, where somebody narrowed down, of those and their neighbours) those with the most
    edges, beside what they hang together with. */
function columnsOf(graph, left, narrowed) {
  const near = new Map(graph.nodes.map((node) => [node.id, []]));
  for (const { from, to, kind } of graph.edges) {
    if (kind === "replaced_by") continue;
    near.get(from)?.push(to);
    near.get(to)?.push(from);
  }
  const wanted = new Set(left.map((node) => node.id));
  if (narrowed) for (const node of left) for (const other of near.get(node.id)) wanted.add(other);
  const fit = graph.nodes.filter((node) => wanted.has(node.id) && (node.kind !== "learned tool" || node.status === "active") && (node.kind !== "tool" || near.get(node.id).length));
  const known = new Set(fit.map((node) => node.id));
  const weight = (node) => near.get(node.id).filter((id) => known.has(id)).length;
  const columns = COLUMNS.map(([kind]) => fit.filter((node) => node.kind === kind).sort((a, b) => weight(b) - weight(a) || (a.label < b.label ? -1 : 1)).slice(0, DRAWN));
  for (let round = 0; round < 4; round++) for (const at of [1, 0, 2, 1]) {
    const place = new Map(columns.flatMap((column, i) => (i === at ? [] : column.map((node, row) => [node.id, row / Math.max(1, column.length)]))));
    const middle = (node) => { const rows = near.get(node.id).map((id) => place.get(id)).filter((row) => row !== undefined); return rows.length ? rows.reduce((a, b) => a + b) / rows.length : 1; };
    columns[at] = columns[at].map((node) => [middle(node), node]).sort((a, b) => a[0] - b[0]).map(([, node]) => node);
  }
  return { columns, hidden: fit.length - columns.flat().length };
}

/** Tools on the left, workflows in the middle, learned tools on the right; a node lights up what it hangs together with.
    One stop for Tab; the arrow keys go from node to node, Enter opens a learned tool. */
function capabilityWeb(graph, left, { narrowed, open }) {
  const { columns, hidden } = columnsOf(graph, left, narrowed);
  const [width, wide, tall, gap] = [900, 240, 34, 12];
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const height = 34 + rows * (tall + gap);
  const places = new Map();
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "web", role: "group", "aria-label": "What is made of what" });
  columns.forEach((column, at) => {
    const x = at * ((width - wide) / 2);
    drawn.append(svg("text", { x, y: 16 }, column.length ? `${COLUMNS[at][1]}` : ""));
    const offset = 34 + ((rows - column.length) * (tall + gap)) / 2;
    column.forEach((node, i) => places.set(node.id, { x, y: offset + i * (tall + gap), node, at, i }));
  });
  const lines = [];
  for (const edge of graph.edges) {
    const [a, b] = [places.get(edge.from), places.get(edge.to)];
    if (!a || !b || a === b) continue;
    const [l, r] = a.x <= b.x ? [a, b] : [b, a];
    const same = l.x === r.x;
    const [x1, y1, x2, y2] = [l.x + wide, l.y + tall / 2, same ? r.x + wide : r.x, r.y + tall / 2];
    const bend = same ? 40 : (x2 - x1) / 2;
    const far = x2 - x1 > (width - wide) / 2; // past a column: drawn when it is pointed at
    const line = svg("path", { class: far ? "edge far" : "edge", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${same ? x2 + bend : x2 - bend} ${y2} ${x2} ${y2}` });
    lines.push([edge, line]);
    drawn.append(line);
  }
  const boxes = new Map();
  const light = (id, on) => {
    const near = new Set([id]);
    for (const [edge, line] of lines) {
      const mine = edge.from === id || edge.to === id;
      line.classList.toggle("on", on && mine);
      if (mine) near.add(edge.from).add(edge.to);
    }
    for (const [other, box] of boxes) box.classList.toggle("dim", on && !near.has(other));
  };
  const step = (id, key) => {
    const { at, i } = places.get(id);
    const to = { ArrowUp: [at, i - 1], ArrowDown: [at, i + 1], ArrowLeft: [at - 1, i], ArrowRight: [at + 1, i] }[key];
    const column = columns[to?.[0]];
    return column?.length ? column[Math.max(0, Math.min(column.length - 1, to[1]))].id : null;
  };
  for (const [id, { x, y, node }] of places) {
    const learned = node.kind === "learned tool";
    const text = sentence(graph, node);
    const box = svg("g", { class: learned ? "node learned" : "node", tabindex: boxes.size ? -1 : 0, role: learned ? "link" : "img", "aria-label": text });
    box.append(svg("title", {}, text));
    box.append(svg("rect", { x: x + 1, y, width: wide - 2, height: tall, rx: 8 }));
    box.append(svg("text", { x: x + 12, y: y + 22 }, fitting(node.label, wide - 26)));
    box.addEventListener("pointerenter", () => light(id, true));
    box.addEventListener("pointerleave", () => light(id, false));
    box.addEventListener("focus", () => light(id, true));
    box.addEventListener("blur", () => light(id, false));
    if (learned) box.addEventListener("click", () => open(node));
    box.addEventListener("keydown", (event) => {
      const other = step(id, event.key);
      if (event.key === "Enter" && learned) open(node);
      else if (other) {
        for (const [known, one] of boxes) one.setAttribute("tabindex", known === other ? 0 : -1);
        boxes.get(other).focus();
      } else return;
      event.preventDefault();
    });
    boxes.set(id, box);
    drawn.append(box);
  }
  return { drawn, hidden };
}

/** What a node hangs together with, in words. */
function sentence(graph, node) {
  graph.labels ??= new Map(graph.nodes.map((other) => [other.id, other.label]));
  const of = (kind, end) => graph.edges.filter((edge) => edge.kind === kind && edge[end === "from" ? "to" : "from"] === node.id).map((edge) => graph.labels.get(edge[end]) ?? edge[end]);
  const some = (list) => (list.length > 12 ? `${list.slice(0, 12).join(", ")} and ${list.length - 12} more` : list.join(", "));
  const parts = [["made from", of("made_from", "to")], ["calls", of("calls", "to")], ["replaced by", of("replaced_by", "to")], ["called by", of("calls", "from")]];
  const said = parts.filter(([, list]) => list.length).map(([verb, list]) => `${verb} ${some(list)}`);
  return `${node.label} (${node.kind})${said.length ? ": " + said.join("; ") : ""}`;
}
