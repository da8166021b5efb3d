"use strict";
/* What every view is made of: elements, texts of numbers and times, source with its changes. Texts of others come in
   through textContent; nothing is made of markup. */

function h(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...solid(children));
  return made;
}

const solid = (nodes) => nodes.flat(Infinity).filter((node) => node !== null && node !== undefined && node !== false);

const kept = new Map();

/** One element for as long as the page is open: who reads it, scrolls in it or writes in it is not disturbed. */
function keep(key, make) {
  if (!kept.has(key)) kept.set(key, make());
  return kept.get(key);
}

/** A kept element whose content is made anew only when what it `shows` is another. */
function held(key, tag, given, shows, make) {
  const element = keep(key, () => h(tag, given));
  const text = JSON.stringify(shows);
  if (element.shows !== text) {
    element.shows = text;
    element.replaceChildren(...solid([make()]));
  }
  return element;
}

/** Bring the children of an element to these nodes; those that are there already stay untouched. */
function place(parent, ...nodes) {
  const wanted = solid(nodes);
  const staying = new Set(wanted);
  for (const old of [...parent.childNodes]) if (!staying.has(old)) old.remove();
  wanted.forEach((node, i) => { if (parent.childNodes[i] !== node) parent.insertBefore(node, parent.childNodes[i] ?? null); });
  return parent;
}

// texts

const number = new Intl.NumberFormat("en");
const count = (value, one, many) => `${number.format(value)} ${value === 1 ? one : many}`;
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const short = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayName = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", timeZone: "UTC" });

function when(seconds) {
  const far = seconds - Date.now() / 1000;
  const minutes = Math.round(far / 60);
  if (!minutes) return far > 0 ? "in a moment" : "just now";
  if (Math.abs(minutes) < 60) return ago.format(minutes, "minute");
  const hours = Math.round(far / 3600);
  return Math.abs(hours) < 24 ? ago.format(hours, "hour") : ago.format(Math.round(far / 86400), "day");
}

/** A moment as a person says it, with the exact local time behind it; it stays true while the page is open. */
const time = (seconds) => h("time", { datetime: new Date(seconds * 1000).toISOString(), title: moment.format(seconds * 1000), "data-at": seconds }, when(seconds));
setInterval(() => {
  for (const shown of document.querySelectorAll("time[data-at]")) {
    const text = when(Number(shown.dataset.at));
    if (shown.textContent !== text) shown.textContent = text;
  }
}, 20000);
/** The exact local time. */
const clock = (seconds) => h("time", { datetime: new Date(seconds * 1000).toISOString(), title: moment.format(seconds * 1000) }, short.format(seconds * 1000));

function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3600000 ? `${(ms / 60000).toFixed(1)} min` : `${number.format(Math.round(ms / 360000) / 10)} h`;
}

/** Words of somebody else's choosing. They turn no text around them, nor, beginning in another script, themselves:
    what is read before a decision has one direction. */
const quoted = (text) => h("bdi", { dir: "ltr" }, text);

const head = (title, text) => h("div", { class: "head" }, h("h1", {}, title), text ? h("p", {}, text) : null);
const block = (title, ...content) => h("section", { class: "block" }, h("h2", {}, title), ...content);
const pairs = (rows) => h("dl", { class: "pairs" }, rows.flatMap(([key, value]) => [h("dt", {}, key), h("dd", { class: "code", dir: "ltr" }, value)]));
const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));
const chips = (list, kind) => (list.length ? h("ul", { class: "chips" }, list.map((text) => h("li", { class: kind }, quoted(text)))) : h("p", { class: "soft" }, "none"));
const empty = (title, ...more) => h("div", { class: "empty" }, h("p", { class: "strong" }, title), more.map((text) => h("p", {}, text)));

/** A table in a box of its own that scrolls sideways where it must. `columns`: its heads, "#" before one of numbers. */
const table = (label, columns, rows, kind) => h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, h("table", { class: kind }, h("thead", {}, h("tr", {}, columns.map((text) => h("th", { scope: "col", class: text.startsWith("#") ? "num" : null }, text.replace(/^#/, ""))))), h("tbody", {}, rows)));
const figure = (value) => h("td", { class: "num" }, typeof value === "number" ? number.format(value) : value);

// source

const lines = (text) => String(text ?? "").replace(/\n+$/, "").split("\n");
const PYTHON = /("""[^]*?"""|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(#.*$)|\b(def|return|for|in|if|elif|else|while|break|continue|not|and|or|is|None|True|False|try|except|raise|pass|lambda|with|as)\b|\b(call|call_all|expect|require|one|progress)\b(?=\()/g;
const TINTS = [null, "text", "note", "word", "verb"];

function tinted(line) {
  const made = [];
  let at = 0;
  for (const found of line.matchAll(PYTHON)) {
    const kind = TINTS[found.findIndex((part, i) => i && part !== undefined)];
    made.push(line.slice(at, found.index), h("i", { class: kind }, found[0]));
    at = found.index + found[0].length;
  }
  return [...made, line.slice(at)].filter((part) => part !== "");
}

const panel = (label, kind, rows) => h("pre", { class: `source ${kind}`, tabindex: 0, role: "region", "aria-label": label }, h("code", {}, rows));

/** Python with its line numbers. */
const python = (rows, label) => panel(label, "numbered", rows.map((line) => h("span", {}, line ? tinted(line) : " ")));

/** Text that wraps. */
const prose = (rows, label) => panel(label, "wrap", rows.map((line) => h("span", { dir: "ltr" }, line || " ")));

/** The lines of a unified diff without its two lines of names; by place, as a line of code may look like one of them. */
const bare = (rows) => (rows[0]?.startsWith("--- ") && rows[1]?.startsWith("+++ ") && rows[2]?.startsWith("@@") ? rows.slice(2) : rows);

/** A unified diff, of one text or as git tells of several files: what came, what went, and where. */
function changes(rows, label, wraps = false) {
  let named = false; // among the lines that name a file, which begin like lines that came or went
  const body = bare(rows).map((line) => {
    named = line.startsWith("diff ") || (named && line[0] !== "@");
    if (line[0] === "@") return h("span", { class: "hunk" }, `from line ${/\+(\d+)/.exec(line)?.[1] ?? "?"}`);
    return h("span", { class: named ? "hunk" : ({ "+": "add", "-": "del" })[line[0]] ?? null }, line || " ");
  });
  return body.length ? panel(label, wraps ? "diff wrap" : "diff", body) : h("p", { class: "soft" }, "No line differs.");
}

/** How many lines a diff adds and takes away. */
function tally(rows) {
  const of = (sign) => bare(rows).filter((line) => line[0] === sign).length;
  return `${count(of("+"), "line", "lines")} new, ${of("-")} gone`;
}
