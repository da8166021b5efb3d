"use strict";
/* The page of `druse dashboard`: what was let in, the views, what is told live, the keys.
   `decide` lives in this closure only: a reload, and nobody but a person with a new link, gets it back. */
(() => {
  const keys = { look: "", decide: "" };
  const state = { numbers: null, view: "", opened: null, tools: new Map(), chosen: new Map(), open: new Set(), audit: null, older: 100, verified: null, graph: null, days: 30, order: "used", sought: {}, gone: 0, full: "" };
  const $ = (id) => document.getElementById(id);

  class Problem extends Error {}

  async function get(path) {
    const answer = await fetch(path, { headers: { authorization: `Bearer ${keys.look}` } });
    const told = await answer.json();
    if (answer.status === 401) { leave(told.detail); throw new Problem(told.detail); }
    if (!answer.ok) throw new Problem(told.detail);
    return told;
  }

  async function post(path, body, token) {
    const headers = { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return [answer.ok, await answer.json()];
  }

  const failed = (error) => say(error instanceof Problem ? error.message : "The server does not answer.");

  function say(text) {
    $("said").textContent = text;
    clearTimeout(say.timer);
    say.timer = setTimeout(() => { $("said").textContent = ""; }, 8000);
  }

  function live(text, on) {
    if ($("live").textContent !== text) $("live").textContent = text;
    $("live").toggleAttribute("data-on", on);
  }

  function leave(why) {
    keys.look = keys.decide = "";
    state.numbers = null;
    sessionStorage.removeItem("look");
    $("views").hidden = $("help").hidden = true;
    $("where").textContent = "";
    document.title = "Druse";
    if ($("ask").open) $("ask").close();
    live("closed", false);
    $("main").replaceChildren(
      head("This page is closed", why || "It is opened by a link that druse dashboard prints."),
      h("p", {}, "Go to the terminal where ", h("code", {}, "druse dashboard"), " runs and press ", h("kbd", {}, "Enter"), ": it prints a new link, which works once. If it runs no more, start it again in your project."),
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
    return [VIEWS.some(([known]) => known === view) ? view : "waiting", rest.join("/")];
  }

  function drawNav() {
    const totals = state.numbers.totals;
    $("views").hidden = $("help").hidden = false;
    const list = keep("nav", () => h("ul"));
    place($("views"), list);
    place(list, VIEWS.map(([view, label, counted]) => {
      const value = counted(totals);
      const link = keep(`nav ${view}`, () => h("a", { href: `#/${view}`, "data-key": `nav-${view}` }));
      if (state.view === view) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
      held(`nav ${view}`, "a", {}, value, () => [h("span", {}, label), value === null ? h("span", { class: "count", "aria-hidden": "true" }) : h("span", { class: view === "waiting" && value ? "count due" : "count" }, number.format(value))]);
      return keep(`nav item ${view}`, () => h("li", {}, link));
    }));
    document.title = totals.pending ? `(${totals.pending}) Druse` : "Druse";
    $("where").textContent = state.numbers.workspace;
  }

  function draw() {
    if (!state.numbers) return;
    const [view, rest] = route();
    const moved = state.view !== view || state.rest !== rest;
    state.view = view;
    state.rest = rest;
    const focused = document.activeElement;
    drawNav();
    place($("main"), notes(), { waiting, tools, savings, candidates, audit, graph }[view](rest));
    if (focused !== document.activeElement && focused?.dataset?.key) document.querySelector(`[data-key="${CSS.escape(focused.dataset.key)}"]`)?.focus({ preventScroll: true });
    if (moved) window.scrollTo(0, 0);
  }

  function notes() {
    const n = state.numbers;
    const tells = [!!keys.decide, n.trust_level, n.rules_waiting, n.problems, state.gone, state.full];
    return held("notes", "div", { class: "notes" }, tells, () => [
      state.gone ? h("div", { class: "banner bad" }, h("p", {}, h("strong", {}, "The server does not answer. "), "This is what there was at ", clock(state.gone), ". The page tries again; if ", h("code", {}, "druse dashboard"), " has ended, start it and open its new link.")) : null,
      state.full ? h("div", { class: "banner" }, h("p", {}, h("strong", {}, "Not live. "), state.full)) : null,
      keys.decide ? null : h("div", { class: "banner" }, h("p", {}, h("strong", {}, "Looking only. "), "To decide here, press ", h("kbd", {}, "Enter"), " in the terminal of ", h("code", {}, "druse dashboard"), " and open the new link.")),
      n.trust_level === 4 ? h("div", { class: "banner bad" }, h("p", {}, h("strong", {}, "Trust level 4: "), "tools of Druse's own making come into service without anybody's approval.")) : null,
      n.rules_waiting.length ? h("div", { class: "banner" }, h("p", {}, h("strong", {}, "An edit of config.toml is not in force. "), "Read it and put it in force with ", h("code", {}, "druse policy approve"), "."), h("ul", { class: "small soft" }, n.rules_waiting.map((text) => h("li", {}, text)))) : null,
      n.problems.map((text) => h("div", { class: "banner bad" }, h("p", {}, text))),
    ]);
  }

  function figures() {
    const t = state.numbers.totals;
    const rows = [["tool", "tools", "in service", t.tools], ["run", "runs", "recorded", t.runs], ["run", "runs", "of learned tools", t.tool_runs], ["round trip", "round trips", "saved", t.round_trips_saved], ["run", "runs", "stopped at a guard", t.divergences], ["failure", "failures", "of learned tools", t.tool_failures]];
    return held("figures", "dl", { class: "figures" }, rows, () => rows.map(([one, many, what, value]) => h("div", {}, h("dt", {}, `${value === 1 ? one : many} ${what}`), h("dd", {}, number.format(value)))));
  }

  /** A field that narrows a list down, where there is enough to narrow; `/` comes to it. */
  function seeker(view, label, all, left) {
    if (all < 10 && !state.sought[view]) return null;
    const field = keep(`seek ${view}`, () => h("input", { type: "search", id: `seek-${view}`, "data-seek": true, "data-key": `seek-${view}`, placeholder: "Narrow down", autocomplete: "off", spellcheck: "false", oninput: (event) => { state.sought[view] = event.target.value; draw(); } }));
    const bar = keep(`seeker ${view}`, () => h("div", { class: "bar", role: "search" }, h("label", { class: "unseen", for: `seek-${view}` }, label), field, h("span", { class: "soft small", role: "status" })));
    const told = left === all ? `${number.format(all)}` : `${number.format(left)} of ${number.format(all)}`;
    const status = bar.querySelector("[role=status]");
    if (status.textContent !== told) status.textContent = told;
    return bar;
  }

  const wanted = (view, ...texts) => (state.sought[view] ?? "").toLowerCase().split(/\s+/).every((word) => texts.some((text) => String(text ?? "").toLowerCase().includes(word)));

  /** Something folded away; it stays as the reader left it. */
  function fold(key, title, make, kind = "plain") {
    return h("details", { class: kind, open: state.open.has(key), ontoggle: (event) => { state.open[event.target.open ? "add" : "delete"](key); } }, h("summary", { "data-key": key }, title), make());
  }

  const KINDS = { call: "call", tool: "new tool", policy: "rules", trust: "trust level", skill: "skill", promotion: "promotion", retirement: "retire skill", retire: "retire tool", successor: "successor" };
  const kindOf = (row) => h("span", { class: "tag" }, KINDS[row.kind] ?? row.kind);

  function waiting(id) {
    if (id) return sheet(id);
    const rows = state.numbers.approvals;
    const left = rows.filter((row) => wanted("waiting", row.title, KINDS[row.kind], asker(row)));
    const list = keep("waiting list", () => h("ul", { class: "list" }));
    place(list, left.map((row) => keep(`waiting ${row.id}`, () => h("li", {}, h("a", { class: "row", href: `#/waiting/${row.id}`, "data-key": row.id, "data-item": true },
      h("span", { class: row.kind === "call" ? "what clamp code" : "what clamp" }, kindOf(row), quoted(row.title)),
      h("span", { class: "under" }, "asked by ", quoted(asker(row)), ", ", time(row.requested_at), " · expires ", time(row.expires_at)))))));
    const lately = state.numbers.notices;
    return [
      held("waiting head", "div", {}, !!rows.length, () => head("Waiting for you", rows.length ? "An agent or a job asked; nothing happens until you decide." : "")),
      seeker("waiting", "Narrow down what waits", rows.length, left.length),
      !rows.length ? keep("waiting none", () => empty("Nothing waits for you.", "What an agent may not do alone comes here: calls that a rule asks about, new tools and skills, changes of the rules.")) : left.length ? list : keep("waiting nothing", () => empty("Nothing that waits holds these words.")),
      figures(),
      state.numbers.totals.runs || lately.length ? null : keep("waiting start", () => block("How it begins", h("p", {}, "No run was recorded yet. ", h("code", {}, "druse install"), " puts Druse into your editor; ", h("code", {}, "druse import"), " learns from what you did before."))),
      lately.length ? held("lately", "section", { class: "block" }, lately, () => [h("h2", {}, "Lately"), h("ul", { class: "small soft lines" }, lately.map((text) => h("li", {}, quoted(text))))]) : null,
    ];
  }

  function sheet(id) {
    const back = keep("back", () => h("p", { class: "back" }, h("a", { href: "#/waiting", "data-key": "back" }, "← Waiting for you")));
    const data = state.opened;
    if (!data || data.id !== id) {
      if (state.asked !== id) {
        state.asked = id;
        get(`/api/approvals/${encodeURIComponent(id)}`).then((told) => { state.opened = told; draw(); $("main").focus({ preventScroll: true }); }, failed).finally(() => { state.asked = null; });
      }
      return [back, keep("reading", () => h("p", { class: "soft" }, "Reading …"))];
    }
    const still = state.numbers.approvals.some((row) => row.id === id);
    const call = data.kind === "call";
    return [
      back,
      held("opened head", "div", { class: "head" }, id, () => [h("h1", {}, call ? ["A call of ", h("code", {}, quoted(data.details.tool))] : quoted(data.title)), h("p", {}, kindOf(data), h("code", {}, data.id), ", asked by ", quoted(asker(data)), ", ", time(data.requested_at), " · expires ", time(data.expires_at))]),
      held("opened", "div", { class: "sheet" }, data, () => (BODIES[data.kind] ?? plain)(data)),
      still
        ? held("opened acts", "div", { class: "acts stand" }, [id, !!keys.decide], () => [
            h("button", { class: "act yes", type: "button", "data-key": "approve", disabled: !keys.decide, onclick: () => ask(data, true) }, "Approve …"),
            h("button", { class: "act no", type: "button", "data-key": "reject", disabled: !keys.decide, onclick: () => ask(data, false) }, "Reject …"),
            h("span", { class: "soft small hint" }, keys.decide ? "It asks once more." : "This page may only look.")])
        : keep("opened over", () => h("div", { class: "banner" }, h("p", {}, "This is decided, used or expired: nothing waits here any more."))),
    ];
  }

  const asker = (row) => ({ person: "you", job: "a job of Druse" })[row.requested_by.kind] ?? [row.requested_by.kind ?? "somebody", row.requested_by.client, row.requested_by.identity && `for ${row.requested_by.identity}`].filter(Boolean).join(" ");
  const listed = (value) => (Array.isArray(value) && value.every((part) => typeof part === "string") ? value.join("\n") || "none" : shown(value));
  const given = (value) => (typeof value === "string" && value.includes("\n") ? h("dd", {}, prose(lines(value), "Text")) : h("dd", { class: "code", dir: "ltr" }, shown(value)));
  const plain = (data) => [block("What it is", pairs(Object.entries(data.details).map(([key, value]) => [key.replaceAll("_", " "), listed(value)])))];
  const BODIES = {
    call: (data) => [
      block("With", Object.keys(data.details.arguments ?? {}).length ? h("dl", { class: "pairs" }, Object.entries(data.details.arguments).map(([key, value]) => [h("dt", {}, quoted(key)), given(value)])) : h("p", { class: "soft" }, "no arguments")),
      data.details.why ? block("Why it asks", h("p", {}, quoted(data.details.why))) : null,
      data.details.how_to_allow ? block("A rule that allows such calls", h("p", { class: "code any" }, data.details.how_to_allow)) : null,
    ],
    tool: (data) => {
      const manifest = data.details.manifest;
      return [
        block("Permissions gained", chips(data.permissions_gained, "gain")),
        data.permissions_lost.length ? block("Permissions given up", chips(data.permissions_lost)) : null,
        (manifest.commands ?? []).length ? block("Commands it runs", h("ul", { class: "steps" }, manifest.commands.map((row) => h("li", {}, `line ${row.line}: ${row.command}`)))) : null,
        block(data.replaces ? `What changes against v${data.replaces} in service` : "The code, all of it new", data.replaces ? [h("p", { class: "soft small" }, tally(data.code_diff)), changes(data.code_diff, "What changes"), fold(`whole ${data.id}`, "The whole code", () => python(lines(data.details.source), "The code"))] : python(lines(data.details.source), "The code")),
        block("Proof", h("p", { class: "soft small" }, "Each run left out once, and reproduced by what the others teach."), h("ul", { class: "chips" }, (manifest.verification ?? []).map((row) => h("li", { class: row.result === "ok" || row.result === "reproduced" ? "good" : null }, `${row.run}: ${row.result}`)))),
        data.dry_run ? block("Dry run", h("p", { class: "soft small" }, `On the recorded results of ${data.dry_run.run}`), h("ol", { class: "steps" }, data.dry_run.calls.map((call) => h("li", {}, `${call.tool}(${Object.entries(call.arguments).map(([k, v]) => `${k}=${JSON.stringify(v)}`).join(", ")})`)))) : null,
        fold(`manifest ${data.id}`, "What it is listed by", () => changes(data.manifest_diff, "The manifest")),
      ];
    },
    promotion: (data) => [block("What changes", pairs([["volume", data.details.volume], ["skill", data.details.skill]]), changes(lines(data.details.diff), "The change", true))],
    skill: (data) => [block("The text", pairs([["volume", data.details.volume], ["skill", data.details.skill]]), prose(lines(data.details.text), "The text"))],
  };
  BODIES.retirement = BODIES.skill;
  BODIES.successor = (data) => [block("What it is", prose(lines(data.text), "The request"))];

  function ask(data, approve) {
    const dialog = $("ask");
    const note = h("textarea", { id: "note", rows: 2, maxlength: 1000 });
    const scope = data.kind === "call" && approve ? h("select", { id: "scope" }, h("option", { value: "once" }, "this one call"), h("option", { value: "session" }, "such a call for the asking session, at most 12 hours")) : null;
    const act = h("button", { class: approve ? "act yes" : "act no", type: "submit", "data-key": "sure" }, approve ? "Approve" : "Reject");
    const at = state.numbers.approvals.findIndex((row) => row.id === data.id);
    const form = h("form", { method: "dialog", onsubmit: async (event) => {
      event.preventDefault();
      act.disabled = true;
      try {
        const [ok, told] = await post(`/api/approvals/${encodeURIComponent(data.id)}/decide`, { approve, seen: data.subject_hash, status: data.status, note: note.value, scope: scope ? scope.value : "once" }, keys.decide);
        dialog.close();
        say(ok ? `${data.id} is ${told.status}.` : told.detail);
        if (ok) {
          state.numbers = await get("/api/overview");
          state.opened = null;
          const next = state.numbers.approvals[Math.min(at, state.numbers.approvals.length - 1)];
          history.pushState(null, "", "#/waiting");
          draw();
          (next ? document.querySelector(`[data-key="${CSS.escape(next.id)}"]`) : $("main"))?.focus();
        }
      } catch (error) { dialog.close(); say(error instanceof Problem ? error.message : "The server did not answer; nothing is known to be decided."); }
    } },
      h("h2", { id: "ask-title" }, approve ? "Approve this?" : "Reject this?"),
      h("p", { class: data.kind === "call" ? "code title" : "title", dir: "ltr" }, data.title),
      (data.permissions_gained ?? []).length ? h("div", { class: "block" }, h("p", { class: "small soft" }, "Permissions gained"), chips(data.permissions_gained, "gain")) : null,
      scope ? h("label", { for: "scope" }, "For", scope) : null,
      h("label", { for: "note" }, approve ? "Note" : "Why not (the agent is told)", note),
      h("div", { class: "acts" }, h("button", { class: "act", type: "button", autofocus: true, onclick: () => dialog.close() }, "Cancel"), act));
    dialog.replaceChildren(form);
    dialog.showModal();
  }

  // tools

  const ORDERS = { used: ["most used", (a, b) => b.runs - a.runs], saved: ["most saved", (a, b) => b.round_trips_saved - a.round_trips_saved], recent: ["last used", (a, b) => (b.last_used_at ?? 0) - (a.last_used_at ?? 0)], name: ["name", () => 0], failing: ["most failures", (a, b) => b.failures + b.divergences - a.failures - a.divergences] };

  function tools(called) {
    const rows = state.numbers.tools;
    const text = keep("tools head", () => head("Tools", "Learned from recorded runs, proved on runs they were not made from, approved by a person."));
    if (!rows.length) return [text, keep("tools none", () => empty("No learned tool is in service.", "When a workflow recurs and goes well, it appears under Candidates."))];
    if (called && state.called !== called) { state.called = called; state.open.add(`tool ${called}`); state.sought.tools = ""; const field = kept.get("seek tools"); if (field) field.value = ""; }
    if (!called) state.called = "";
    const left = rows.filter((tool) => wanted("tools", tool.name, tool.description, tool.permissions.join(" "))).sort((a, b) => ORDERS[state.order][1](a, b) || (a.name < b.name ? -1 : 1));
    const bar = seeker("tools", "Narrow the tools down", rows.length, left.length);
    if (bar && !bar.querySelector("select")) bar.append(h("label", { class: "order small soft" }, "by ", h("select", { "data-key": "order", onchange: (event) => { state.order = event.target.value; draw(); } }, Object.entries(ORDERS).map(([key, [label]]) => h("option", { value: key, selected: key === state.order }, label)))));
    const list = keep("tool list", () => h("ul", { class: "list" }));
    place(list, left.map(toolItem));
    if (called) requestAnimationFrame(() => { const item = kept.get(`tool ${called}`); if (item && item !== state.scrolled) { state.scrolled = item; item.scrollIntoView({ block: "start" }); item.querySelector("summary").focus({ preventScroll: true }); } });
    else state.scrolled = null;
    return [text, bar, left.length ? list : keep("tools nothing", () => empty("No tool holds these words."))];
  }

  function toolItem(tool) {
    const key = `tool ${tool.name}`;
    const summary = held(`${key} line`, "summary", { class: "row", "data-key": `tool-${tool.name}`, "data-item": true }, [tool.version, tool.runs, tool.failures, tool.divergences, tool.round_trips_saved, tool.mean_wall_ms, tool.description], () => [
      h("span", { class: "what code" }, tool.name, h("span", { class: "soft" }, ` v${tool.version}`)),
      h("span", { class: "side" }, tool.runs ? `${count(tool.runs, "run", "runs")}, ${span(tool.mean_wall_ms)} each · ${count(tool.round_trips_saved, "round trip", "round trips")} saved` : "not used yet"),
      h("span", { class: "under clamp" }, quoted(tool.description))]);
    const body = keep(`${key} body`, () => h("div", { class: "sheet" }));
    const item = keep(key, () => h("li", {}, h("details", { class: "tool", ontoggle: (event) => { state.open[event.target.open ? "add" : "delete"](key); if (event.target.open) draw(); } }, summary, body)));
    const details = item.firstChild;
    if (state.open.has(key) && !details.open) details.open = true;
    if (details.open) place(body, toolBody(tool, key));
    return item;
  }

  function toolBody(tool, key) {
    const seen = tool.versions.filter((one) => !["proposed", "rejected"].includes(one.status));
    const chosen = seen.some((one) => one.version === state.chosen.get(key)?.version) ? state.chosen.get(key) : { version: tool.version, whole: true };
    const at = `${tool.name}/${chosen.version}`;
    const loaded = state.tools.get(at);
    if (!loaded) {
      state.tools.set(at, { waits: true });
      get(`/api/tools/${encodeURIComponent(tool.name)}?version=${chosen.version}`).then((told) => { state.tools.set(at, told); draw(); }, (error) => { state.tools.set(at, { problem: error instanceof Problem ? error.message : "The server did not answer." }); draw(); });
    }
    const choose = (version, whole) => { state.chosen.set(key, { version, whole }); draw(); };
    const used = tool.last_used_at;
    return [
      held(`${key} facts`, "div", { class: "sheet" }, [tool.permissions, tool.description, tool.failures, tool.divergences, used], () => [
        h("div", { class: "head" }, tool.description.length > 90 ? h("p", { class: "any" }, quoted(tool.description)) : null, h("p", { class: "small" }, tool.runs ? ["Last used ", time(used), `. ${count(tool.failures, "run", "runs")} failed, ${number.format(tool.divergences)} stopped at a guard.`] : "No run of it was recorded yet.")),
        block("Calls", chips(tool.permissions))]),
      held(`${key} source`, "section", { class: "block" }, [chosen, loaded ?? null], () => {
        if (!loaded || loaded.waits) return [h("h2", {}, "Source"), h("p", { class: "soft" }, "Reading …")];
        if (loaded.problem && loaded.source === undefined) return [h("h2", {}, "Source"), h("p", { class: "soft" }, loaded.problem)];
        const switched = (whole, label) => h("button", { type: "button", "aria-pressed": String(chosen.whole === whole), "data-key": `${key} ${whole}`, onclick: () => choose(chosen.version, whole) }, label);
        return [
          h("div", { class: "titled" }, h("h2", {}, `Source of v${chosen.version}`), loaded.before ? h("div", { class: "switch", role: "group", "aria-label": "What is shown" }, switched(true, "Whole"), switched(false, `Changes since v${loaded.before}`)) : null),
          loaded.problem ? h("p", { class: "banner bad" }, loaded.problem) : null,
          chosen.whole || !loaded.before ? python(lines(loaded.source), `Source of ${tool.name} v${chosen.version}`) : [
            loaded.permissions_gained.length ? [h("h3", {}, "Permissions gained"), chips(loaded.permissions_gained, "gain")] : null,
            loaded.permissions_lost.length ? [h("h3", {}, "Permissions given up"), chips(loaded.permissions_lost)] : null,
            h("p", { class: "soft small" }, tally(loaded.diff)),
            changes(loaded.diff, `Changes of ${tool.name} from v${loaded.before} to v${chosen.version}`)]];
      }),
      held(`${key} versions`, "section", { class: "block" }, [tool.versions, chosen.version], () => [h("h2", {}, "Versions"),
        table(`Versions of ${tool.name}`, ["version", "status", "since", "made from", "approved by", "#runs"], [...tool.versions].reverse().map((one) => h("tr", { "aria-current": one.version === chosen.version ? "true" : null },
          h("td", {}, seen.includes(one) ? h("button", { class: "link", type: "button", "data-key": `${key} v${one.version}`, "aria-label": `Show v${one.version}`, onclick: () => choose(one.version, one.version === seen[0].version) }, `v${one.version}`) : `v${one.version}`),
          h("td", {}, h("span", { class: one.status === "active" ? "tag good" : "tag plain" }, one.status === "active" ? "in service" : one.status), one.reason ? h("span", { class: "soft small" }, quoted(one.reason)) : null),
          h("td", {}, time(one.changed_at)), h("td", {}, `${one.made_successes} of ${count(one.made_runs, "run", "runs")}`), h("td", {}, one.approved_by), figure(one.runs))))]),
    ];
  }

  // savings

  function savings() {
    const days = state.numbers.savings;
    const best = [...state.numbers.tools].filter((tool) => tool.round_trips_saved).sort((a, b) => b.round_trips_saved - a.round_trips_saved).slice(0, 10);
    const width = $("main").clientWidth;
    return [
      keep("savings head", () => head("Savings", "A round trip is saved for each call that a learned tool made beyond the one that started it. Counted on each day of UTC; nothing here is estimated.")),
      figures(),
      held("savings chart", "section", { class: "block" }, [days, state.days, width, new Date().toISOString().slice(0, 10)], () => [
        h("div", { class: "titled" }, h("h2", {}, "Round trips saved a day"), h("div", { class: "switch", role: "group", "aria-label": "How many days" }, [30, 90].map((many) => h("button", { type: "button", "data-key": `days ${many}`, "aria-pressed": String(state.days === many), onclick: () => { state.days = many; draw(); } }, `${many} days`)))),
        h("figure", {}, savingsChart(days, new Date(), width, state.days))]),
      days.length
        ? held("savings days", "div", {}, days, () => fold("days", "The same as a table", () => table("Savings by day", ["day", "#runs", "#failed", "#stopped", "#round trips saved", "#time in tools"], [...days].reverse().map((day) => h("tr", {}, h("td", {}, day.day), [day.runs, day.failures, day.divergences, day.round_trips_saved].map(figure), figure(span(day.wall_ms)))))))
        : keep("savings none", () => empty("No learned tool has run yet.", "As soon as one does, its days stand here.")),
      best.length ? held("savings best", "section", { class: "block" }, [best.map((tool) => [tool.name, tool.round_trips_saved, tool.runs]), width], () => [h("h2", {}, "Where it comes from"), h("ol", { class: "ranks" }, best.map((tool) => h("li", {}, h("a", { class: "code", href: `#/tools/${tool.name}` }, tool.name), h("span", { class: "num" }, number.format(tool.round_trips_saved)), share(tool.round_trips_saved, best[0].round_trips_saved))))]) : null,
    ];
  }

  // candidates

  async function copied(text) {
    try { await navigator.clipboard.writeText(text); say(`Copied: ${text}`); } catch { say("The browser did not let it be copied; mark it by hand."); }
  }

  function candidates() {
    const rows = state.numbers.candidates;
    const left = rows.filter((row) => wanted("candidates", row.goal, row.steps.join(" "), row.signature));
    const list = keep("candidates list", () => h("ul", { class: "list" }));
    place(list, left.map((row) => held(`candidate ${row.signature}`, "li", {}, row, () => h("div", { class: "row still" },
      h("span", { class: "what clamp" }, quoted(row.goal || "(no goal was given)")),
      h("span", { class: "side" }, `${number.format(row.success_count)} of ${count(row.usage_count, "run", "runs")} went well`),
      h("ol", { class: "chain under" }, row.steps.map((step) => h("li", {}, quoted(step)))),
      h("span", { class: "under acts" }, h("code", {}, `druse crystallize ${row.signature}`), h("button", { class: "act small", type: "button", "data-item": true, "data-key": `copy-${row.signature}`, "aria-label": `Copy druse crystallize ${row.signature}`, onclick: () => copied(`druse crystallize ${row.signature}`) }, "Copy"),
        h("span", {}, `goes well in at least ${Math.floor(row.success_at_least * 100)} % (95 % bound)`), row.withdrawn ? h("span", {}, quoted(row.withdrawn)) : null)))));
    return [
      keep("candidates head", () => head("Candidates", "Workflows that recur and go well. A person makes one a tool with druse crystallize, or Druse proposes it by itself.")),
      seeker("candidates", "Narrow the candidates down", rows.length, left.length),
      !rows.length ? keep("candidates none", () => empty("No workflow recurs often enough yet.", "A workflow counts when its runs are reported as gone well: by the agent, or with druse traces mark RUN --success.")) : left.length ? list : keep("candidates nothing", () => empty("No candidate holds these words.")),
    ];
  }

  // audit

  /** What stands on the server about a view, read again when it is out of date; what was read stays until then. */
  function fresh(which, path) {
    if (state[which]?.of === state.turn && state[which]?.path === path) return;
    if (state[`${which} asked`]) return;
    state[`${which} asked`] = true;
    const turn = state.turn;
    get(path).then((told) => { state[which] = { of: turn, path, told }; }, failed).finally(() => { state[`${which} asked`] = false; if (state.view === which && state[which]?.of === turn) draw(); });
  }

  function audit() {
    fresh("audit", `/api/audit?limit=${state.older}`);
    const checked = state.verified;
    const all = state.audit?.told.entries;
    const rows = (all ?? []).filter((entry) => wanted("audit", `a${entry.seq}`, entry.action, entry.subject, entry.actor, entry.client));
    return [
      keep("audit head", () => head("Audit chain", "Every decision and effect in order. Each entry holds the hash of the one before; roots over all are signed.")),
      held("audit acts", "div", { class: "acts" }, [checked], () => [h("button", { class: "act", type: "button", "data-key": "verify", onclick: async (event) => {
        event.target.disabled = true;
        event.target.textContent = "Verifying …";
        try { state.verified = { ...(await get("/api/audit/verify")), at: Date.now() / 1000 }; } catch (error) { failed(error); event.target.disabled = false; event.target.textContent = "Verify the whole chain"; }
        draw();
      } }, "Verify the whole chain"),
        checked ? [h("span", { class: checked.ok ? "tag good" : "tag bad", id: "verdict", role: "status" }, checked.ok ? `whole: ${count(checked.entries, "entry", "entries")}, ${count(checked.signed_roots, "signed root", "signed roots")}, ${number.format(checked.unsigned_entries)} not signed yet` : "damaged"), h("span", { class: "soft small" }, time(checked.at))] : null]),
      checked && !checked.ok ? h("div", { class: "banner bad" }, h("p", {}, checked.detail)) : null,
      all ? seeker("audit", "Narrow the entries down", all.length, rows.length) : null,
      all
        ? held("audit log", "div", {}, [rows, [...state.open].filter((key) => key.startsWith("entry "))], () => table("The newest entries", ["entry", "when", "what", "about", "who"], rows.flatMap(entryRows), "log"))
        : keep("reading", () => h("p", { class: "soft" }, "Reading …")),
      all && all.length === state.older && state.older < 1000 ? keep("audit older", () => h("p", {}, h("button", { class: "act", type: "button", "data-key": "older", onclick: () => { state.older = Math.min(1000, state.older + 200); draw(); } }, "Show older entries"))) : null,
      all && all.length === 1000 ? keep("audit end", () => h("p", { class: "soft small" }, "Older ones: ", h("code", {}, "druse audit show --limit 100000"), ".")) : null,
    ];
  }

  function entryRows(entry) {
    const key = `entry ${entry.seq}`;
    const open = state.open.has(key);
    const row = h("tr", {},
      h("td", {}, h("button", { class: "link code", type: "button", "data-key": key, "data-item": true, "aria-expanded": String(open), "aria-label": `Entry a${entry.seq}, ${entry.action}`, onclick: () => { state.open[open ? "delete" : "add"](key); draw(); } }, `a${entry.seq}`)),
      h("td", {}, clock(entry.time)), h("td", {}, entry.action), h("td", { class: "any code" }, quoted(String(entry.subject))), h("td", { class: "any" }, quoted([entry.actor, entry.client, entry.identity && `for ${entry.identity}`].filter(Boolean).join(" "))));
    if (!open) return [row];
    const { seq, time: at, action, subject, actor, client, ...more } = entry;
    return [row, h("tr", { class: "more" }, h("td", { colspan: 5 }, pairs(Object.entries(more).filter(([, value]) => value !== "" && value !== null).map(([part, value]) => [part, part === "payload" ? Object.entries(value).map(([k, v]) => `${k}: ${typeof v === "string" ? v : JSON.stringify(v)}`).join("\n") || "empty" : shown(value)]))))];
  }

  // graph

  function graph() {
    fresh("graph", "/api/graph");
    const text = keep("graph head", () => head("How it hangs together", "Which tools the recorded workflows call, and which learned tools were made of them. Point at a node, or go there with Tab and the arrow keys."));
    const told = state.graph?.told;
    if (!told) return [text, keep("reading", () => h("p", { class: "soft" }, "Reading …"))];
    const drawn = told.nodes.filter((node) => node.kind !== "skill" && (node.kind !== "learned tool" || node.status === "active"));
    const work = drawn.filter((node) => node.kind !== "tool");
    const skills = told.nodes.filter((node) => node.kind === "skill");
    const left = drawn.filter((node) => wanted("graph", node.label));
    if (!work.length) return [text, keep("graph none", () => empty("No workflow was recorded yet."))];
    return [text,
      seeker("graph", "Narrow the graph down", drawn.length, left.length),
      left.length ? held("graph web", "div", {}, [told, state.sought.graph ?? ""], () => {
        const web = capabilityWeb(told, left, { narrowed: !!state.sought.graph, open: (node) => { location.hash = `#/tools/${node.label.split(" ")[0]}`; } });
        return [web.hidden ? h("p", { class: "soft small" }, `Drawn are those that hang together most; ${count(web.hidden, "other stands", "others stand")} in the list below. Narrow it down to draw them.`) : null, h("div", { class: "scroll", tabindex: -1 }, web.drawn)];
      }) : keep("graph nothing", () => empty("No node holds these words.")),
      held("graph words", "div", {}, [told, left.map((node) => node.id)], () => fold("words", "The same in words", () => h("ul", { class: "small lines" }, left.filter((node) => node.kind !== "tool").map((node) => h("li", {}, quoted(sentence(told, node))))))),
      skills.length ? held("graph skills", "section", { class: "block" }, skills, () => [h("h2", {}, "Skills"), chips(skills.map((node) => node.label))]) : null];
  }

  // live

  const SILENT = 45000; // the server says something every 15 seconds

  async function listen() {
    for (let pause = 500; keys.look; pause = Math.min(pause * 2, 8000)) {
      const cut = new AbortController();
      let watch = setTimeout(() => cut.abort(), SILENT);
      const heard = () => { clearTimeout(watch); watch = setTimeout(() => cut.abort(), SILENT); };
      try {
        const answer = await fetch("/api/events", { headers: { authorization: `Bearer ${keys.look}` }, signal: cut.signal });
        if (answer.status === 401) { leave("The server does not know this page: it was started anew, or eight pages were opened after this one."); return; }
        if (answer.ok) {
          live("live", true);
          state.gone = 0;
          state.full = "";
          draw();
          pause = 500;
          await read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), heard);
        } else {
          state.full = (await answer.json()).detail;
          if (!state.numbers) state.numbers = await get("/api/overview");
          draw();
        }
      } catch { /* the connection broke; it is made anew below */ }
      clearTimeout(watch);
      if (!keys.look) return;
      live("reconnecting", false);
      if (!state.gone && !state.full) state.gone = Date.now() / 1000;
      if (pause > 1000) draw(); // a short break is not worth a word
      if (!state.numbers) leave("The server does not answer.");
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async function read(reader, heard) {
    for (let rest = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      heard();
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
        if (part.startsWith("event: overview")) come(JSON.parse(data));
        else if (part.startsWith("event: problem")) say(JSON.parse(data).detail);
      }
    }
  }

  function come(numbers) {
    const known = new Set(state.numbers?.approvals.map((row) => row.id));
    const fresh = state.numbers ? numbers.approvals.filter((row) => !known.has(row.id)) : [];
    state.numbers = numbers;
    state.turn = (state.turn ?? 0) + 1;
    draw();
    if (fresh.length) say(fresh.length === 1 ? `New: ${fresh[0].title.slice(0, 120)}` : `${fresh.length} new requests wait.`);
  }

  // keys

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !state.numbers || $("ask").open) return;
    if (event.target.closest("input, textarea, select")) {
      const first = document.querySelector("main [data-item]");
      if (event.target.dataset.seek && event.key === "Enter" && first) first.focus();
      return;
    }
    const items = [...document.querySelectorAll("main [data-item]")];
    const at = items.indexOf(document.activeElement);
    const digit = Number(event.key);
    if (event.key === "j" || event.key === "k") items[Math.max(0, Math.min(items.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
    else if (digit >= 1 && digit <= VIEWS.length) location.hash = `#/${VIEWS[digit - 1][0]}`;
    else if (event.key === "Escape" && route()[1]) location.hash = `#/${state.view}`;
    else if (event.key === "/") document.querySelector("[data-seek]")?.focus();
    else if (event.key === "a") document.querySelector('[data-key="approve"]:not(:disabled)')?.click();
    else if (event.key === "r") document.querySelector('[data-key="reject"]:not(:disabled)')?.click();
    else if (event.key === "?") help();
    else return;
    event.preventDefault();
  });

  function help() {
    const rows = [["1 – 6", "the views"], ["j  k", "down and up a list"], ["Enter", "open"], ["/", "narrow the list down; Enter goes to its first, Esc widens it"], ["a  r", "approve or reject what is open (asks again)"], ["Esc", "back"]];
    $("ask").replaceChildren(h("form", { method: "dialog" }, h("h2", { id: "ask-title" }, "Keys"),
      h("dl", { class: "keys" }, rows.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
      h("div", { class: "acts" }, h("button", { class: "act", autofocus: true }, "Close"))));
    $("ask").showModal();
  }

  $("help").addEventListener("click", help);
  window.addEventListener("resize", () => { if (state.view === "savings") draw(); });
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
