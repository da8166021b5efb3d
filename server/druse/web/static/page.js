"use strict";
/* The page of `druse dashboard`. All text of others comes in through textContent; nothing is made of markup.
   `decide` lives in this closure only: a reload, and nobody but a person with a new link, gets it back. */
(() => {
  const keys = { look: "", decide: "" };
  const state = { numbers: null, view: "", opened: null, tools: new Map(), open: new Set(), audit: null, verified: null, graph: null };
  const $ = (id) => document.getElementById(id);

  function h(tag, given = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(given)) {
      if (value === undefined || value === null || value === false) continue;
      if (key === "class") made.className = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else made.setAttribute(key, value === true ? "" : String(value));
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return made;
  }

  const number = new Intl.NumberFormat("en");
  const count = (value, one, many) => `${number.format(value)} ${value === 1 ? one : many}`;
  function when(seconds) {
    if (!seconds) return "never";
    const ago = Date.now() / 1000 - seconds;
    const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
    for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      if (Math.abs(ago) >= size) return words.format(-Math.round(ago / size), unit);
    }
    return "just now";
  }
  const time = (seconds) => h("time", { datetime: new Date(seconds * 1000).toISOString(), title: new Date(seconds * 1000).toLocaleString() }, when(seconds));
  const ms = (value) => (value === null ? "unknown" : value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`);

  async function get(path) {
    const answer = await fetch(path, { headers: { authorization: `Bearer ${keys.look}` } });
    const told = await answer.json();
    if (answer.status === 401) { leave(told.detail); throw new Error(told.detail); }
    if (!answer.ok) throw new Error(told.detail);
    return told;
  }

  async function post(path, body, token) {
    const headers = { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return [answer.ok, await answer.json()];
  }

  function say(text) {
    $("said").textContent = text;
    clearTimeout(say.timer);
    say.timer = setTimeout(() => { $("said").textContent = ""; }, 6000);
  }

  function live(text, on) {
    if ($("live").textContent === text) return;
    $("live").textContent = text;
    $("live").toggleAttribute("data-on", on);
  }

  function leave(why) {
    keys.look = keys.decide = "";
    sessionStorage.removeItem("look");
    $("views").hidden = true;
    live("closed", false);
    $("main").replaceChildren(
      h("div", { class: "head" }, h("h1", {}, "This page is closed"), h("p", {}, why || "Open the newest link that druse dashboard printed.")),
      h("p", {}, "Go to the terminal where ", h("code", {}, "druse dashboard"), " runs and press ", h("kbd", {}, "Enter"), ": it prints a new link, which works once."),
    );
  }

  // what is there

  const VIEWS = [
    ["waiting", "Waiting", (t) => t.pending],
    ["tools", "Tools", (t) => t.tools],
    ["savings", "Savings", () => null],
    ["candidates", "Candidates", (t) => t.candidates],
    ["audit", "Audit", () => null],
    ["graph", "Graph", () => null],
  ];

  function route() {
    const [view, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
    return [VIEWS.some(([name]) => name === view) ? view : "waiting", rest.join("/")];
  }

  function drawNav() {
    const totals = state.numbers.totals;
    $("views").hidden = false;
    $("views").replaceChildren(h("ul", {}, VIEWS.map(([name, label, counted]) => {
      const value = counted(totals);
      const shown = value === null ? h("span", { class: "count", "aria-hidden": "true" }) : h("span", { class: name === "waiting" && value ? "count due" : "count" }, number.format(value));
      return h("li", {}, h("a", { href: `#/${name}`, "data-key": `nav-${name}`, "aria-current": state.view === name ? "page" : null }, h("span", {}, label), shown));
    })));
    document.title = totals.pending ? `(${totals.pending}) Druse` : "Druse";
    $("where").textContent = state.numbers.workspace;
  }

  function draw() {
    if (!state.numbers) return;
    const [view, rest] = route();
    const moved = state.view !== view;
    state.view = view;
    const held = document.activeElement?.dataset?.key;
    drawNav();
    const parts = { waiting, tools, savings, candidates, audit, graph }[view](rest);
    $("main").replaceChildren(...[...notes(), ...parts].filter(Boolean));
    if (held) document.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
    if (moved) window.scrollTo(0, 0);
  }

  function notes() {
    const n = state.numbers;
    const made = [];
    if (!keys.decide) made.push(h("div", { class: "banner" }, h("p", {}, h("strong", {}, "Looking only. "), "To decide here, press ", h("kbd", {}, "Enter"), " in the terminal of ", h("code", {}, "druse dashboard"), " and open the new link.")));
    if (n.trust_level === 4) made.push(h("div", { class: "banner bad" }, h("p", {}, h("strong", {}, "Trust level 4: "), "tools of Druse's own making come into service without anybody's approval.")));
    if (n.rules_waiting.length) made.push(h("div", { class: "banner" }, h("p", {}, h("strong", {}, "An edit of config.toml is not in force. "), "Read it and put it in force with ", h("code", {}, "druse policy approve"), "."), h("ul", { class: "small soft" }, n.rules_waiting.map((text) => h("li", {}, text)))));
    for (const text of n.problems) made.push(h("div", { class: "banner bad" }, h("p", {}, text)));
    return made;
  }

  const head = (title, text) => h("div", { class: "head" }, h("h1", {}, title), text ? h("p", {}, text) : null);

  function figures() {
    const t = state.numbers.totals;
    const pairs = [["tools in service", t.tools], ["runs recorded", t.runs], ["runs of learned tools", t.tool_runs], ["round trips saved", t.round_trips_saved], ["stopped at a guard", t.divergences], ["tool failures", t.tool_failures]];
    return h("dl", { class: "figures" }, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, number.format(value)))));
  }

  const KINDS = { call: "call", tool: "new tool", policy: "rules", trust: "trust level", skill: "skill", promotion: "promotion", retirement: "retire skill", retire: "retire tool", successor: "successor" };

  function waiting(id) {
    if (id) return sheet(id);
    const rows = state.numbers.approvals;
    return [
      head("Waiting for you", rows.length ? "An agent or a job asked; nothing happens until you decide." : ""),
      rows.length
        ? h("ul", { class: "list" }, rows.map((row) => h("li", {}, h("a", { class: "row", href: `#/waiting/${row.id}`, "data-key": row.id, "data-item": true },
            h("span", { class: "what" }, h("span", { class: "tag" }, KINDS[row.kind] ?? row.kind), row.title),
            h("span", { class: "under" }, `asked by ${asker(row)}, `, time(row.requested_at), " · expires ", when(row.expires_at))))))
        : h("p", { class: "empty" }, "Nothing waits for you."),
      figures(),
      state.numbers.notices.length ? h("section", { class: "block" }, h("h2", {}, "Lately"), h("ul", { class: "small soft" }, state.numbers.notices.map((text) => h("li", {}, text)))) : null,
    ];
  }

  function sheet(id) {
    const back = h("p", { class: "back" }, h("a", { href: "#/waiting", "data-key": "back" }, "← Waiting for you"));
    const data = state.opened;
    if (!data || data.id !== id) {
      get(`/api/approvals/${encodeURIComponent(id)}`).then((told) => { state.opened = told; draw(); $("main").focus(); }, (error) => say(error.message));
      return [back, h("p", { class: "soft" }, "Reading …")];
    }
    const still = state.numbers.approvals.some((row) => row.id === id);
    return [
      back,
      h("div", { class: "head" }, h("h1", {}, data.kind === "call" ? `A call of ${data.details.tool}` : data.title), h("p", {}, h("span", { class: "tag" }, KINDS[data.kind] ?? data.kind), `${data.id}, asked by ${asker(data)}, `, time(data.requested_at))),
      h("div", { class: "sheet" }, ...(BODIES[data.kind] ?? plain)(data)),
      still
        ? h("div", { class: "acts stand" },
            h("button", { class: "act yes", type: "button", "data-key": "approve", disabled: !keys.decide, onclick: () => ask(data, true) }, "Approve …"),
            h("button", { class: "act no", type: "button", "data-key": "reject", disabled: !keys.decide, onclick: () => ask(data, false) }, "Reject …"),
            keys.decide ? null : h("span", { class: "soft small" }, "This page may only look."))
        : h("div", { class: "banner" }, h("p", {}, "This is decided, used or expired: nothing waits here any more.")),
    ];
  }

  const asker = (row) => ({ person: "you", job: "a job of Druse" })[row.requested_by.kind] ?? `${row.requested_by.kind ?? "somebody"} ${row.requested_by.client ?? ""}`.trim();
  const block = (title, ...content) => h("section", { class: "block" }, h("h2", {}, title), ...content);
  const pairs = (rows) => h("dl", { class: "pairs" }, rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { class: "code" }, value)]));
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 1));
  const chips = (list) => (list.length ? h("ul", { class: "chips" }, list.map((text) => h("li", {}, text))) : h("p", { class: "soft" }, "none"));

  const lines = (text) => String(text ?? "").replace(/\n+$/, "").split("\n");

  function source(rows, name, wrap) {
    const kind = (line) => (/^(\+\+\+|---|@@)/.test(line) ? "hunk" : line.startsWith("+") ? "add" : line.startsWith("-") ? "del" : null);
    return h("pre", { class: wrap && wrap !== "code" ? "source wrap" : "source", tabindex: 0, role: "region", "aria-label": name }, h("code", {}, rows.map((line) => h("span", { class: wrap === "plain" || wrap === "code" ? null : kind(line) }, line || " "))));
  }

  const listed = (value) => (Array.isArray(value) && value.every((part) => typeof part === "string") ? value.join("\n") || "none" : shown(value));
  const plain = (data) => [block("What it is", pairs(Object.entries(data.details).map(([name, value]) => [name.replaceAll("_", " "), listed(value)])))];
  const BODIES = {
    call: (data) => [
      block("What is called", pairs([["tool", data.details.tool], ...Object.entries(data.details.arguments ?? {}).map(([name, value]) => [name, shown(value)])])),
      data.details.why ? block("Why it asks", h("p", {}, data.details.why)) : null,
      data.details.how_to_allow ? block("A rule that allows such calls", h("p", { class: "code" }, data.details.how_to_allow)) : null,
    ].filter(Boolean),
    tool: (data) => {
      const manifest = data.details.manifest;
      return [
        block("Permissions gained", chips(data.permissions_gained)),
        data.permissions_lost.length ? block("Permissions given up", chips(data.permissions_lost)) : null,
        (manifest.commands ?? []).length ? block("Commands it runs", h("ul", { class: "steps" }, manifest.commands.map((row) => h("li", {}, `line ${row.line}: ${row.command}`)))) : null,
        block(data.replaces ? `The code, against v${data.replaces} in service` : "The code, all of it new", data.replaces ? source(data.code_diff.length ? data.code_diff : ["(equal)"], "The code") : source(lines(data.details.source), "The code", "code")),
        block("Proof", h("p", { class: "soft small" }, "Each run left out once, and reproduced by what the others teach."), h("ul", { class: "chips" }, (manifest.verification ?? []).map((row) => h("li", {}, `${row.run}: ${row.result}`)))),
        data.dry_run ? block("Dry run", h("p", { class: "soft small" }, `On the recorded results of ${data.dry_run.run}`), h("ol", { class: "steps" }, data.dry_run.calls.map((call) => h("li", {}, `${call.tool}(${Object.entries(call.arguments).map(([k, v]) => `${k}=${JSON.stringify(v)}`).join(", ")})`)))) : null,
        h("details", { class: "plain" }, h("summary", { "data-key": "manifest" }, "What it is listed by"), source(data.manifest_diff, "The manifest")),
      ].filter(Boolean);
    },
    promotion: (data) => [block("What changes", pairs([["volume", data.details.volume], ["skill", data.details.skill]]), source(lines(data.details.diff), "The change", true))],
    skill: (data) => [block("The text", pairs([["volume", data.details.volume], ["skill", data.details.skill]]), source(lines(data.details.text), "The text", "plain"))],
  };
  BODIES.retirement = BODIES.skill;
  BODIES.successor = (data) => [block("What it is", source(lines(data.text), "The request", "plain"))];

  function ask(data, approve) {
    const dialog = $("ask");
    const note = h("textarea", { id: "note", rows: 2, maxlength: 1000 });
    const scope = data.kind === "call" && approve ? h("select", { id: "scope" }, h("option", { value: "once" }, "this one call"), h("option", { value: "session" }, "such a call for the asking session, at most 12 hours")) : null;
    const act = h("button", { class: approve ? "act yes" : "act no", type: "submit" }, approve ? "Approve" : "Reject");
    const form = h("form", { method: "dialog", onsubmit: async (event) => {
      event.preventDefault();
      act.disabled = true;
      try {
        const [ok, told] = await post(`/api/approvals/${encodeURIComponent(data.id)}/decide`, { approve, seen: data.subject_hash, status: data.status, note: note.value, scope: scope ? scope.value : "once" }, keys.decide);
        dialog.close();
        say(ok ? `${data.id} is ${told.status}.` : told.detail);
        if (ok) { location.hash = "#/waiting"; state.opened = null; state.numbers = await get("/api/overview"); draw(); }
      } catch { dialog.close(); say("The server did not answer; nothing is known to be decided."); }
    } },
      h("h2", { id: "ask-title" }, approve ? "Approve this?" : "Reject this?"),
      h("p", { class: data.kind === "call" ? "code" : null }, data.title),
      scope ? h("label", { for: "scope" }, "For", scope) : null,
      h("label", { for: "note" }, approve ? "Note" : "Why not (the agent is told)", note),
      h("div", { class: "acts" }, h("button", { class: "act", type: "button", autofocus: true, onclick: () => dialog.close() }, "Cancel"), act));
    dialog.replaceChildren(form);
    dialog.showModal();
  }

  function tools() {
    const rows = state.numbers.tools;
    return [head("Tools", "Learned from recorded runs, proved on runs they were not made from, approved by a person."),
      rows.length ? h("ul", { class: "list" }, rows.map((tool) => h("li", {}, toolRow(tool)))) : h("p", { class: "empty" }, "No learned tool is in service. When a workflow recurs, it appears under Candidates.")];
  }

  function toolRow(tool) {
    const key = `${tool.name} v${tool.version}`;
    const body = h("div", { class: "sheet" });
    const fill = () => {
      const loaded = state.tools.get(key);
      if (!loaded) {
        get(`/api/tools/${encodeURIComponent(tool.name)}`).then((told) => { state.tools.set(key, told); fill(); }, (error) => say(error.message));
        return;
      }
      body.replaceChildren(
        block("Calls", chips(tool.permissions)),
        block("Source", source(lines(loaded.source), `Source of ${key}`, "code")),
        block("Versions", h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["version", "status", "since", "made from", "approved by", "runs"].map((text, i) => h("th", { class: i === 5 ? "num" : null }, text)))),
          h("tbody", {}, [...tool.versions].reverse().map((one) => h("tr", {}, h("td", {}, `v${one.version}`), h("td", {}, h("span", { class: one.status === "active" ? "tag good" : "tag plain" }, one.status)), h("td", {}, time(one.changed_at)), h("td", {}, `${one.made_successes} of ${one.made_runs} runs`), h("td", {}, one.approved_by), h("td", { class: "num" }, number.format(one.runs)))))))));
    };
    const made = h("details", { class: "tool", open: state.open.has(tool.name), ontoggle: (event) => {
      if (event.target.open) { state.open.add(tool.name); fill(); } else state.open.delete(tool.name);
    } },
      h("summary", { class: "row", "data-key": `tool-${tool.name}`, "data-item": true },
        h("span", { class: "what code" }, tool.name, h("span", { class: "soft" }, ` v${tool.version}`)),
        h("span", { class: "side" }, `${count(tool.runs, "run", "runs")} · ${number.format(tool.round_trips_saved)} saved · ${ms(tool.mean_wall_ms)}`),
        h("span", { class: "under" }, tool.description)), body);
    if (made.open) fill();
    return made;
  }

  function savings() {
    const days = state.numbers.savings;
    return [head("Savings", "A round trip is saved for each call that a learned tool made beyond the one that started it. Counted per day, in UTC; nothing here is estimated."),
      figures(),
      h("figure", {}, savingsChart(days, new Date(), $("main").clientWidth)),
      days.length
        ? h("details", { class: "plain" }, h("summary", { "data-key": "days" }, "The same as a table"), h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["day", "runs", "failed", "stopped", "round trips saved", "time in tools"].map((text, i) => h("th", { class: i ? "num" : null }, text)))),
            h("tbody", {}, [...days].reverse().map((day) => h("tr", {}, h("td", {}, day.day), ...[day.runs, day.failures, day.divergences, day.round_trips_saved].map((value) => h("td", { class: "num" }, number.format(value))), h("td", { class: "num" }, ms(day.wall_ms))))))))
        : h("p", { class: "soft" }, "No learned tool has run yet.")];
  }

  function candidates() {
    const rows = state.numbers.candidates;
    return [head("Candidates", "Workflows that recur and go well. A person makes one a tool with druse crystallize, or Druse proposes it by itself."),
      rows.length ? h("ul", { class: "list" }, rows.map((row) => h("li", {}, h("div", { class: "row" },
        h("span", { class: "what" }, row.goal || "(no goal was given)"),
        h("span", { class: "side" }, `${row.success_count} of ${row.usage_count} went well`),
        h("span", { class: "under" }, h("code", {}, `druse crystallize ${row.signature}`), ` · at least ${Math.round(row.success_at_least * 100)} % by the 95 % bound`, row.withdrawn ? ` · ${row.withdrawn}` : ""),
        h("ol", { class: "steps under" }, row.steps.map((step) => h("li", {}, step))))))) : h("p", { class: "empty" }, "No workflow recurs often enough yet.")];
  }

  function audit() {
    if (!state.audit) get("/api/audit?limit=100").then((told) => { state.audit = told.entries; if (state.view === "audit") draw(); }, (error) => say(error.message));
    const checked = state.verified;
    return [head("Audit chain", "Every decision and effect in order. Each entry holds the hash of the one before; roots over all are signed."),
      h("div", { class: "acts" }, h("button", { class: "act", type: "button", "data-key": "verify", onclick: async (event) => {
        event.target.disabled = true;
        try { state.verified = await get("/api/audit/verify"); } catch (error) { say(error.message); }
        draw();
      } }, "Verify the whole chain"),
        checked ? h("span", { class: checked.ok ? "tag good" : "tag bad", id: "verdict", role: "status" }, checked.ok ? `whole: ${count(checked.entries, "entry", "entries")}, ${count(checked.signed_roots, "signed root", "signed roots")}, ${number.format(checked.unsigned_entries)} not signed yet` : "damaged") : null),
      checked && !checked.ok ? h("div", { class: "banner bad" }, h("p", {}, checked.detail)) : null,
      state.audit
        ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The newest entries" }, h("table", { class: "log" }, h("thead", {}, h("tr", {}, ["entry", "when", "what", "about", "who"].map((text) => h("th", {}, text)))),
            h("tbody", {}, state.audit.map((entry) => h("tr", {}, h("td", { class: "code", title: entry.hash }, `a${entry.seq}`), h("td", {}, time(entry.time)), h("td", {}, entry.action), h("td", { class: "any code" }, String(entry.subject)), h("td", { class: "any" }, `${entry.actor} ${entry.client}`))))))
        : h("p", { class: "soft" }, "Reading …")];
  }

  function graph() {
    if (!state.graph) get("/api/graph").then((told) => { state.graph = told; if (state.view === "graph") draw(); }, (error) => say(error.message));
    const text = head("How it hangs together", "Which tools the recorded workflows call, and which learned tools were made of them. Point at a node, or tab to it.");
    if (!state.graph) return [text, h("p", { class: "soft" }, "Reading …")];
    const held = state.graph.nodes.filter((node) => node.kind !== "tool" && node.kind !== "skill");
    const skills = state.graph.nodes.filter((node) => node.kind === "skill");
    return [text,
      held.length ? h("div", { class: "scroll" }, capabilityWeb(state.graph)) : h("p", { class: "empty" }, "No workflow was recorded yet."),
      held.length ? h("details", { class: "plain" }, h("summary", { "data-key": "words" }, "The same in words"), h("ul", { class: "small" }, held.map((node) => h("li", {}, sentence(state.graph, node))))) : null,
      skills.length ? block("Skills", chips(skills.map((node) => node.label))) : null];
  }

  // live

  async function listen() {
    for (let pause = 500; keys.look; pause = Math.min(pause * 2, 8000)) {
      try {
        const answer = await fetch("/api/events", { headers: { authorization: `Bearer ${keys.look}` } });
        if (answer.status === 401) { leave("The page's process is another one now."); return; }
        if (answer.ok) {
          live("live", true);
          pause = 500;
          await read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
        }
      } catch { /* the connection broke; it is made anew below */ }
      if (!keys.look) return;
      live("reconnecting", false);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async function read(reader) {
    for (let held = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (held + value).split("\n\n");
      held = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
        if (part.startsWith("event: overview")) {
          state.numbers = JSON.parse(data);
          state.audit = state.graph = null;
          draw();
        } else if (part.startsWith("event: problem")) say(JSON.parse(data).detail);
      }
    }
  }

  // keys

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !state.numbers || $("ask").open || event.target.closest("input, textarea, select")) return;
    const items = [...document.querySelectorAll("[data-item]")];
    const at = items.indexOf(document.activeElement);
    const digit = Number(event.key);
    if (event.key === "j" || event.key === "k") items[Math.max(0, Math.min(items.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
    else if (digit >= 1 && digit <= VIEWS.length) location.hash = `#/${VIEWS[digit - 1][0]}`;
    else if (event.key === "Escape" && route()[1]) location.hash = "#/waiting";
    else if (event.key === "a") document.querySelector('[data-key="approve"]:not(:disabled)')?.click();
    else if (event.key === "r") document.querySelector('[data-key="reject"]:not(:disabled)')?.click();
    else if (event.key === "?") help();
    else return;
    event.preventDefault();
  });

  function help() {
    const rows = [["1 – 6", "the views"], ["j  k", "down and up a list"], ["Enter", "open"], ["a  r", "approve or reject what is open (asks again)"], ["Esc", "back"]];
    $("ask").replaceChildren(h("form", { method: "dialog" }, h("h2", { id: "ask-title" }, "Keys"),
      h("dl", { class: "keys" }, rows.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
      h("div", { class: "acts" }, h("button", { class: "act", autofocus: true }, "Close"))));
    $("ask").showModal();
  }

  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (state.view === "savings" && width !== window.innerWidth) draw(); width = window.innerWidth; });
  window.addEventListener("hashchange", () => { if (!enter()) { draw(); if (!route()[1]) $("main").focus({ preventScroll: true }); } });

  /** Exchange the pass in the address for the secrets of this page; whether there was one. */
  function enter() {
    const given = /^#pass=([\w-]+)$/.exec(location.hash);
    if (!given) return false;
    history.replaceState(null, "", "/#/waiting");
    post("/api/session", { pass: given[1] }).then(([ok, told]) => {
      if (!ok) { leave(told.detail); return; }
      const listening = keys.look;
      keys.look = told.look;
      keys.decide = told.decide;
      sessionStorage.setItem("look", told.look);
      if (listening) draw(); else listen();
    }, () => leave("The server does not answer."));
    return true;
  }

  if (!enter()) {
    keys.look = sessionStorage.getItem("look") ?? "";
    if (keys.look) listen(); else leave();
  }
})();
