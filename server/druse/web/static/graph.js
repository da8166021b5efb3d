"use strict";
/* Two drawings, in SVG, with nothing but attributes: what was saved each day, and what is made of what. */

const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/** Bars of the round trips saved on each of the last `count` days, to today, `room` pixels wide. */
function savingsChart(days, today, room, count = 30) {
  const known = new Map(days.map((day) => [day.day, day.round_trips_saved]));
  const listed = Array.from({ length: count }, (_, i) => {
    const day = new Date(today.getTime() - (count - 1 - i) * 86400000).toISOString().slice(0, 10);
    return [day, known.get(day) ?? 0];
  });
  const top = niceTop(Math.max(1, ...listed.map(([, value]) => value)));
  const [width, height, left, bottom] = [Math.max(280, room), 220, 40, 26];
  const spaced = width < 560 ? 14 : 7;
  const plot = height - bottom - 12;
  const step = (width - left) / count;
  const total = listed.reduce((sum, [, value]) => sum + value, 0);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img",
    "aria-label": `Round trips saved a day, last ${count} days: ${total} together, at most ${Math.max(...listed.map(([, v]) => v))} a day` });
  for (const share of [0, 0.5, 1]) {
    const y = 12 + plot * (1 - share);
    chart.append(svg("line", { x1: left, x2: width, y1: y, y2: y, class: share ? "grid" : "axis" }));
    chart.append(svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, String(top * share)));
  }
  listed.forEach(([day, value], i) => {
    const tall = (plot * value) / top;
    const bar = svg("rect", { x: left + i * step + 2, y: 12 + plot - tall, width: Math.max(1, step - 4), height: tall, rx: 2, class: "bar" });
    bar.append(svg("title", {}, `${day}: ${value}`));
    chart.append(bar);
    if ((count - 1 - i) % spaced === 0) {
      const last = i === count - 1;
      chart.append(svg("text", { x: last ? width : left + (i + 0.5) * step, y: height - 6, "text-anchor": last ? "end" : "middle" }, last ? "today" : day.slice(5)));
    }
  });
  return chart;
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const top = [1, 2, 4, 5, 10].map((part) => part * power).find((part) => part >= value);
  return top % 2 && top < 2 ? 2 : top;
}

const COLUMNS = ["tool", "workflow", "learned tool"];
const SHOWN = 40; // nodes of a column; what is more stands in the list below the drawing

/** Tools on the left, workflows in the middle, learned tools on the right; a node lights up what it hangs together with. */
function capabilityWeb(graph) {
  const used = new Set(graph.edges.flatMap((edge) => [edge.from, edge.to]));
  const columns = COLUMNS.map((kind) => graph.nodes.filter((node) => node.kind === kind && (used.has(node.id) || kind !== "tool")).slice(0, SHOWN));
  const [width, wide, tall, gap] = [900, 240, 34, 12];
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const height = 34 + rows * (tall + gap);
  const places = new Map();
  const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "web", role: "group", "aria-label": "What is made of what" });
  const titles = ["Tools", "Workflows", "Learned tools"];
  columns.forEach((column, at) => {
    const x = at * ((width - wide) / 2);
    drawn.append(svg("text", { x, y: 16 }, titles[at]));
    const offset = 34 + ((rows - column.length) * (tall + gap)) / 2;
    column.forEach((node, i) => places.set(node.id, { x, y: offset + i * (tall + gap), node }));
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
  for (const [id, { x, y, node }] of places) {
    const learned = node.kind === "learned tool";
    const box = svg("g", { class: learned ? "node learned" : "node", tabindex: 0, role: "img", "aria-label": sentence(graph, node) });
    box.append(svg("title", {}, sentence(graph, node)));
    box.append(svg("rect", { x: x + 1, y, width: wide - 2, height: tall, rx: 8 }));
    box.append(svg("text", { x: x + 12, y: y + 22 }, node.label.length > 30 ? node.label.slice(0, 29) + "…" : node.label));
    const light = (on) => {
      const near = new Set([id]);
      for (const [edge, line] of lines) {
        const mine = edge.from === id || edge.to === id;
        line.classList.toggle("on", on && mine);
        if (mine) near.add(edge.from).add(edge.to);
      }
      for (const [other, drawnBox] of boxes) drawnBox.classList.toggle("dim", on && !near.has(other));
    };
    box.addEventListener("pointerenter", () => light(true));
    box.addEventListener("pointerleave", () => light(false));
    box.addEventListener("focus", () => light(true));
    box.addEventListener("blur", () => light(false));
    boxes.set(id, box);
    drawn.append(box);
  }
  return drawn;
}

/** What a node hangs together with, in words. */
function sentence(graph, node) {
  const label = (id) => graph.nodes.find((other) => other.id === id)?.label ?? id;
  const of = (kind, end) => graph.edges.filter((edge) => edge.kind === kind && edge[end === "from" ? "to" : "from"] === node.id).map((edge) => label(edge[end]));
  const parts = [["made from", of("made_from", "to")], ["calls", of("calls", "to")], ["replaced by", of("replaced_by", "to")], ["called by", of("calls", "from")]];
  const said = parts.filter(([, list]) => list.length).map(([verb, list]) => `${verb} ${list.join(", ")}`);
  return `${node.label} (${node.kind})${said.length ? ": " + said.join("; ") : ""}`;
}
