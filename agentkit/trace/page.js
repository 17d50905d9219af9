"use strict";
// Shows the runs of the JSON block. All that a model or a tool wrote becomes text nodes; no markup
// is ever made from it, and the page's policy (Trusted Types) would refuse it.
(() => {
  const { runs, pictures } = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const list = $("rows");

  function h(name, attributes, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value !== undefined && value !== "" && value !== false) node.setAttribute(key, value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== ""));
    return node;
  }

  // ---- texts: a string, or {head, tail, left} of a clipped one
  const plain = (shown) => (typeof shown === "string" ? shown : shown.head + shown.tail);
  function pieces(shown) {
    if (typeof shown === "string") return [shown];
    const left = `${shown.left.toLocaleString("en")} characters left out`;
    return [shown.head, h("span", { class: "left" }, left), shown.tail];
  }
  const prose = (shown, kind) =>
    typeof shown === "string" && kind !== "thinking"
      ? h("div", { class: "text prose rich", dir: "auto" }, markdown(shown))
      : h("div", { class: `text ${kind || ""}`, dir: "auto" }, pieces(shown));

  // ---- the Markdown that models write, as nodes; a link stays a text that shows its address
  const INLINE = /(`+)([\s\S]+?)\1|\*\*([^*]+)\*\*|__([^_]+)__|\*([^*\s][^*]*)\*|!?\[([^\]]*)\]\(([^()\s]*)\)/;
  function inline(text) {
    const out = [];
    let found;
    while ((found = INLINE.exec(text))) {
      out.push(text.slice(0, found.index));
      if (found[1]) out.push(h("code", {}, found[2]));
      else if (found[3] || found[4]) out.push(h("strong", {}, found[3] || found[4]));
      else if (found[5]) out.push(h("em", {}, found[5]));
      else out.push(found[6], " ", h("span", { class: "url" }, found[7]));
      text = text.slice(found.index + found[0].length);
    }
    return [...out, text];
  }
  const cells = (row) => row.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  function table(rows) {
    const line = (row, name) => h("tr", {}, cells(row).map((cell) => h(name, {}, inline(cell))));
    const body = rows.slice(2).map((row) => line(row, "td"));
    return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, line(rows[0], "th")), h("tbody", {}, body)));
  }
  const ITEM = /^\s*([-*+]|\d+[.)])\s+/;
  const BLOCKS = [
    [/^#{1,6}\s/, (lines) => lines.map((line) => h(/^###/.test(line) ? "h5" : /^##/.test(line) ? "h4" : "h3", {}, inline(line.replace(/^#+\s+/, ""))))],
    [/^\s*([-*_])(\s*\1){2,}\s*$/, () => h("hr")],
    [/^>/, (lines) => h("blockquote", {}, inline(lines.map((line) => line.replace(/^>\s?/, "")).join("\n")))],
    [ITEM, (lines) => h(/^\s*\d/.test(lines[0]) ? "ol" : "ul", {}, lines.map((line) => h("li", {}, inline(line.replace(ITEM, "")))))],
  ];
  function markdown(text) {
    const lines = text.split("\n");
    const out = [];
    const take = (test) => {
      const taken = [];
      while (lines.length && test(lines[0])) taken.push(lines.shift());
      return taken;
    };
    while (lines.length) {
      const first = lines[0];
      if (!first.trim()) { lines.shift(); continue; }
      const fence = /^\s*(```+|~~~+)/.exec(first);
      if (fence) {
        lines.shift();
        out.push(h("pre", {}, h("code", {}, take((line) => !line.trim().startsWith(fence[1])).join("\n"))));
        lines.shift();
      } else if (/^\s*\|/.test(first) && /^\s*\|[\s:|-]+$/.test(lines[1] || "")) {
        out.push(table(take((line) => /^\s*\|/.test(line))));
      } else {
        const block = BLOCKS.find(([test]) => test.test(first));
        if (block) out.push(block[1](take((line) => block[0].test(line))));
        else out.push(h("p", {}, inline([lines.shift(), ...take((line) => line.trim() && !/^\s*(```|~~~|\|)/.test(line) && !BLOCKS.some(([test]) => test.test(line)))].join("\n"))));
      }
    }
    return out.flat();
  }

  // ---- rows
  const id = (run, seq) => `${run ? `s${run}` : ""}e${seq}`;
  const anchor = (run, seq) => h("a", { class: "anchor", href: `#${id(run, seq)}`, title: "Link to this event" }, `#${id(run, seq)}`);
  const flag = ([tone, words]) => h("span", { class: `flag ${tone}` }, words);
  const block = (label, ...content) => h("div", { class: "block" }, h("div", { class: "label" }, label), h("div", {}, content));

  function row(run, data) {
    const node = h("details", { class: `row ${data.k}`, id: id(run, data.e) });
    node.append(summary(run, data, node));
    node.data = data;
    node.run = run;
    return node;
  }
  function summary(run, data, node) {
    if (data.k === "turn" || data.k === "step") {
      const used = (data.tools || []).flatMap(([name, times, bad], index) => [
        index ? "  " : "", h("span", { class: bad ? "bad" : "" }, times > 1 ? `${name} ×${times}` : name),
      ]);
      return h("summary", {},
        h("span", { class: "n" }, data.n ? String(data.n) : "step"),
        h("span", { class: "gist" }, data.gist ? h("span", { class: "say", dir: "auto" }, data.gist) : "",
          used.length ? h("span", { class: "used" }, used) : "", (data.flags || []).map(flag)),
        h("span", { class: "m" }, data.time), h("span", { class: "m wide" }, data.context || ""),
        h("span", { class: "m wide" }, data.cached || ""), h("span", { class: "m wide" }, data.cost || ""));
    }
    if (data.k === "user") {
      return h("summary", {}, h("span", { class: "n" }, "user"), h("span", { class: "gist" }, h("span", { class: "say", dir: "auto" }, data.gist || "(no text)")));
    }
    if (!detailed(data)) node.classList.add("bare");
    return h("summary", {}, h("span", { class: "n" }),
      h("span", { class: "gist" }, h("b", { class: data.tone }, data.title), h("span", { class: "say", dir: "auto" }, data.gist || "")),
      h("span", { class: "m" }, data.t));
  }
  const detailed = (data) => data.text || data.fields || data.artifacts;

  function fill(node) {
    if (node.filled) return;
    node.filled = true;
    const { data, run } = node;
    const body = h("div", { class: "body" });
    if (data.k === "turn" || data.k === "step") body.append(...turn(run, data));
    else if (data.k === "user") body.append(prose(data.text || "", "plain"), ...(data.artifacts || []).map(artifact));
    else body.append(...details(data));
    const place = h("p", { class: "fine" }, (data.facts || []).map(([name, words]) => h("span", { title: name }, words)), data.k === "note" ? "" : h("span", { title: "since the run began" }, `at ${data.t}`), anchor(run, data.e));
    body.append(place);
    node.append(body);
  }
  function details(data) {
    const rows = (data.fields || []).flatMap(([name, shown]) => [h("dt", {}, name), h("dd", {}, pre(shown))]);
    return [data.text ? prose(data.text, "plain") : "", rows.length ? h("dl", { class: "args" }, rows) : "", ...(data.artifacts || []).map(artifact)].filter(Boolean);
  }
  function pre(shown) {
    const text = plain(shown);
    return h("pre", { class: text.length > 160 || text.includes("\n") ? "long" : "", dir: "auto", tabindex: text.length > 2000 ? 0 : undefined }, pieces(shown));
  }
  function turn(run, data) {
    const out = [];
    if (data.thinking) out.push(block("Thinking", prose(data.thinking, "thinking")));
    if (data.text) out.push(block("Text", prose(data.text)));
    if (data.faults) out.push(block("Repaired", data.faults.map((fault) => h("div", { class: "text warn" }, pieces(fault)))));
    if (data.calls) out.push(block(data.calls.length > 1 ? `${data.calls.length} calls` : "Call", data.calls.map((one) => call(run, one))));
    for (const note of data.notes || []) out.push(block(note.title, aside(run, note, true)));
    return out;
  }
  function aside(run, note, titled) {
    const long = note.text || note.fields || note.artifacts;
    return h("div", { class: "aside", id: id(run, note.e) },
      titled ? "" : h("b", { class: note.tone }, note.title, " "),
      note.text ? "" : h("span", { class: titled ? note.tone : "gist-text" }, note.gist || ""), anchor(run, note.e), long ? details(note) : "");
  }
  function call(run, data) {
    const tone = { ok: "quiet", open: "warn", held: "hold" }[data.status] || "bad";
    const status = { ok: "", open: "no result", held: "waits for approval" }[data.status] ?? data.status;
    const head = h("header", {}, h("strong", {}, data.name), status ? flag([tone, status]) : "", h("span", { class: "m" }, data.time || ""),
      data.tries ? h("span", { class: "flag warn" }, `${data.tries} attempts`) : "", data.e === undefined ? "" : anchor(run, data.e));
    const node = h("div", { class: "call", id: data.e === undefined ? "" : id(run, data.e) }, head);
    const lines = h("dl", { class: "args" }, (data.args || []).map(([name, shown]) => [h("dt", {}, name), h("dd", {}, pre(shown))]));
    const put = (name, ...content) => lines.append(h("dt", { class: "own" }, name), h("dd", {}, content));
    if (data.repairs) put("repaired", data.repairs.map((repair) => h("div", { class: "text warn" }, pieces(repair))));
    if (data.written) put("as written", pre(data.written));
    for (const note of data.notes || []) put("", aside(run, note, false));
    for (const [seq, shown] of data.results || []) put("result", h("pre", { class: `result ${tone === "bad" ? "bad" : ""}`, id: seq === null ? "" : id(run, seq), dir: "auto", tabindex: 0 }, pieces(shown)));
    if (data.same) put("", h("div", { class: "text quiet" }, `the result of the identical call ${data.same}`));
    if (data.artifacts) put(data.artifacts.length > 1 ? "files" : "file", data.artifacts.map(artifact));
    node.append(lines);
    if (data.sub) node.append(nested(data.sub));
    return node;
  }
  function nested(sub) {
    const child = runs[sub.run];
    if (!child) return h("p", { class: "aside quiet" }, `Sub-agent · ${sub.about} · its log (${sub.id}) is not shown`);
    const node = h("details", { class: "sub" }, h("summary", {}, "Sub-agent ", h("b", {}, child.agent), ` · ${sub.about}`));
    node.addEventListener("toggle", () => unfold(node, sub.run));
    node.run = sub.run;
    return node;
  }
  function unfold(node, run) {
    if (node.filled || !node.open) return;
    node.filled = true;
    node.append(h("div", { class: "rows" }, runs[run].rows.map((data) => row(run, data))));
  }
  function artifact(data) {
    const caption = h("figcaption", {}, data.name, data.about ? ` · ${data.about}` : "");
    if (data.sha) return figure(h("figure", {}), data.sha, data.name, caption);
    return h("figure", {}, data.text ? h("pre", { class: "result", tabindex: 0, dir: "auto" }, pieces(data.text)) : "", caption);
  }
  function figure(node, sha, name, caption) {
    node.append(h("img", { src: pictures[sha], alt: name, loading: "lazy", decoding: "async" }), caption || h("figcaption", {}, name));
    return node;
  }

  // ---- where an event is shown: the row that holds it, and the way down to it
  const places = new Map();
  const parents = new Map();
  function locate(run, seen) {
    for (const data of runs[run].rows) {
      const put = (seq) => { if (seq !== undefined && seq !== null) places.set(id(run, seq), { run, row: data }); };
      put(data.e);
      for (const note of data.notes || []) put(note.e);
      for (const one of data.calls || []) {
        put(one.e);
        for (const note of one.notes || []) put(note.e);
        for (const [seq] of one.results || []) put(seq);
        const sub = one.sub?.run;
        if (sub !== undefined && !seen.has(sub)) {
          seen.add(sub);
          parents.set(sub, { run, row: data });
          locate(sub, seen);
        }
      }
    }
  }
  function reveal(run, data) {
    const parent = parents.get(run);
    if (parent) {
      const holder = reveal(parent.run, parent.row);
      for (const sub of holder.querySelectorAll("details.sub")) {
        if (sub.run === run) { sub.open = true; unfold(sub, run); }
      }
    }
    finish();
    const node = document.getElementById(id(run, data.e));
    node.hidden = false;
    open(node, true);
    return node;
  }
  function open(node, on) {
    if (on) fill(node);
    node.open = on;
  }
  function visit() {
    const name = location.hash.slice(1);
    if (!name) return;
    if (!places.size) locate(0, new Set([0]));
    const place = places.get(name);
    if (!place) return;
    const node = reveal(place.run, place.row);
    select(rows.indexOf(node), false);
    const target = document.getElementById(name) || node;
    target.classList.remove("target");
    requestAnimationFrame(() => {
      target.classList.add("target");
      target.scrollIntoView({ block: target === node ? "start" : "center" });
    });
  }

  // ---- selection, search, keys
  const rows = [];
  function build(most) {
    const fragment = document.createDocumentFragment();
    for (const data of runs[0].rows.slice(rows.length, rows.length + most)) {
      const node = row(0, data);
      rows.push(node);
      fragment.append(node);
    }
    list.append(fragment);
  }
  const built = () => rows.length === runs[0].rows.length;
  const finish = () => { if (!built()) build(Infinity); };
  function later() {
    build(300);
    if (!built()) setTimeout(later, 20);
  }
  let selected = -1;
  const shown = () => rows.filter((node) => !node.hidden);
  function select(index, scroll = true) {
    rows[selected]?.classList.remove("selected");
    selected = index;
    const node = rows[selected];
    if (!node) return;
    node.classList.add("selected");
    if (scroll) node.scrollIntoView({ block: "nearest" });
  }
  function move(step, fits = () => true) {
    let index = selected;
    do { index += step; } while (rows[index] && (rows[index].hidden || !fits(rows[index])));
    if (rows[index]) select(index);
    return rows[index];
  }
  function haystack(value, seen) {
    if (typeof value === "string") return value;
    if (Array.isArray(value)) return value.map((one) => haystack(one, seen)).join("\n");
    if (!value || typeof value !== "object") return "";
    const below = value.sub && runs[value.sub.run] && !seen.has(value.sub.run) ? haystack(runs[value.sub.run].rows, new Set([...seen, value.sub.run])) : "";
    return `${Object.values(value).map((one) => haystack(one, seen)).join("\n")}\n${below}`;
  }
  let wanted = "";
  let soon;
  function search() {
    clearTimeout(soon);
    const words = $("find").value.trim().toLowerCase();
    if (words === wanted) return;
    wanted = words;
    finish();
    let hits = 0;
    for (const node of rows) {
      if (wanted) node.text ??= haystack(node.data, new Set([0])).toLowerCase();
      const hit = !wanted || node.text.includes(wanted);
      node.hidden = !hit;
      hits += hit;
    }
    $("found").textContent = wanted ? `${hits} of ${rows.length}` : "";
    $("none").hidden = hits > 0;
    if (rows[selected]?.hidden) select(-1);
    mark();
  }
  function mark() {
    if (!window.Highlight) return;
    CSS.highlights.delete("found");
    if (!wanted) return;
    const ranges = [];
    const walker = document.createTreeWalker(list, NodeFilter.SHOW_TEXT, (node) =>
      node.parentElement.closest("[hidden]") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
    while (walker.nextNode() && ranges.length < 2000) {
      const text = walker.currentNode.data.toLowerCase();
      for (let at = text.indexOf(wanted); at >= 0 && ranges.length < 2000; at = text.indexOf(wanted, at + wanted.length)) {
        if (at + wanted.length > walker.currentNode.length) break;
        const range = new Range();
        range.setStart(walker.currentNode, at);
        range.setEnd(walker.currentNode, at + wanted.length);
        ranges.push(range);
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  }
  function openAll() {
    finish();
    const some = shown().filter((node) => !node.classList.contains("bare"));
    const on = some.some((node) => !node.open);
    const step = () => {
      for (const node of some.splice(0, 60)) open(node, on);
      if (some.length) requestAnimationFrame(step);
      else mark();
    };
    step();
  }
  const failed = (node) => node.data.tone === "bad" || (node.data.flags || []).some(([tone]) => tone === "bad");
  function theme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  }
  const toggle = () => { if (rows[selected]) open(rows[selected], !rows[selected].open); };
  const KEYS = {
    j: () => move(1), k: () => move(-1), o: toggle, Enter: toggle, O: openAll, t: theme,
    e: () => { const node = move(1, failed); if (node) open(node, true); },
    "/": () => $("find").select(), "?": () => $("keys").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    if (event.target === $("find")) {
      if (event.key === "Escape") { $("find").value = ""; search(); $("find").blur(); }
      if (event.key === "Enter") { search(); const node = move(event.shiftKey ? -1 : 1); if (node) { open(node, true); mark(); } }
      return;
    }
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    const act = KEYS[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  $("find").addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(search, 120); });
  $("theme").addEventListener("click", theme);
  $("help").addEventListener("click", KEYS["?"]);
  list.addEventListener("click", (event) => {
    const line = event.target.closest("summary");
    const node = line?.parentElement;
    if (!node?.classList.contains("row")) return;
    if (node.classList.contains("bare") && !node.open) event.preventDefault();
    if (rows.includes(node)) select(rows.indexOf(node), false);
  });
  list.addEventListener("toggle", (event) => { if (event.target.open && event.target.data) { fill(event.target); mark(); } }, true);
  addEventListener("hashchange", visit);

  // ---- what a mark of a drawing stands for
  const tip = $("tip");
  for (const drawing of document.querySelectorAll(".lanes, .columns")) {
    drawing.addEventListener("pointermove", (event) => {
      const node = event.target.closest("a[aria-label], [data-tip]");
      tip.hidden = !node;
      if (!node) return;
      tip.textContent = node.getAttribute("aria-label");
      const x = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
      const y = event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 8 : event.clientY + 18;
      tip.style.left = `${Math.max(x, 8)}px`;
      tip.style.top = `${y}px`;
    });
    drawing.addEventListener("pointerleave", () => { tip.hidden = true; });
  }

  // ---- go
  build(150);
  for (const node of document.querySelectorAll(".said.prose")) {
    if (node.querySelector(".left")) continue;
    node.classList.add("rich");
    node.replaceChildren(...markdown(node.textContent.trim()));
  }
  for (const node of document.querySelectorAll("[data-picture]")) figure(node, node.dataset.picture, node.dataset.name);
  for (const node of document.querySelectorAll(".fold")) {
    if (node.scrollHeight < 480) continue;
    node.classList.add("folded");
    const more = h("button", { class: "more", type: "button" }, "Show all");
    more.addEventListener("click", () => { more.textContent = node.classList.toggle("folded") ? "Show all" : "Show less"; });
    node.after(more);
  }
  const title = document.querySelector("h1");
  new IntersectionObserver(([seen]) => document.body.classList.toggle("below", !seen.isIntersecting), { rootMargin: "-48px 0px 0px" }).observe(title);
  visit();
  if (!built()) setTimeout(later, 50);
})();
