// Puts the page together: what stands on top, the controls, and what follows from them.
"use strict";

const byId = (id) => document.getElementById(id);
const controls = { query: byId("query"), state: byId("state"), kind: byId("kind"), thread: byId("thread") };

// --- the top

function showVerdict() {
  const { process, verdict } = snapshot;
  document.title = `manhole: process ${process.pid}`;
  byId("headline").textContent = `Process ${process.pid}`;
  const when = snapshot.time === null ? "" : new Date(snapshot.time * 1000).toISOString().replace("T", " ").slice(0, 19);
  byId("process").textContent = [
    printable(process.argv.join(" "), 300),
    `${printable(process.implementation)} ${printable(process.python)}`,
    ...process.libraries.map(([name, version]) => `${printable(name)} ${printable(version)}`),
    process.uptime === null ? "" : `up ${duration(process.uptime)}`,
    when && `${when} UTC`,
  ].filter(Boolean).join(" \u00b7 ");
  byId("verdict").replaceChildren(...verdict.map((line) => make("p", "", printable(line, 1000))));
  const isStuck = snapshot.hubs.some(([, , , , state]) => state.startsWith("stuck"));
  byId("verdict-section").classList.toggle("sick", isStuck || snapshot.deadlocks.length > 0);
  showDeadlocks();
  byId("facts").replaceWith(makeFacts([
    ["command", printable(process.argv.join(" "), LONG)],
    ["patched", process.patched.map(([name, modules]) => `${printable(name)}: ${printable(modules.join(", "), LONG)}`).join("; ")],
    ["hubs", snapshot.hubs.map(([ident, kind, name, thread, state]) =>
      make("div", "", `${printable(kind)} ${printable(name)} ${hex(ident)}, ${printable(state)}`
        + (thread === null ? "" : `, thread ${hex(thread)}`)))],
    ["units", `${number(units.length)}, ${number(groups.length)} groups, ${number(stacks.length)} different stacks`],
    ["finished", snapshot.finished ? `${number(snapshot.finished)} that somebody still holds` : ""],
    ["not seen", snapshot.unseen.map((reason) => make("div", "", printable(reason, LONG)))],
  ]));
}

function showDeadlocks() {
  for (const ring of snapshot.deadlocks) {
    const line = make("p", "", "Deadlock: ");
    for (const ident of ring) line.append(makeLink(ident), " \u2192 ");
    if (ring.length) line.append(labelOf(ring[0]));
    byId("deadlocks").append(line);
  }
}

// --- the controls

// A <select>'s choices, the commonest first, with their counts.
function fillSelect(select, all, values, label) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const option = (value, text) => {
    const element = make("option", "", text);
    element.value = value;
    return element;
  };
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  select.append(option("", all), ...sorted.map(([value, count]) => option(value, `${label(value)} (${number(count)})`)));
}

function fillControls() {
  const threadLabel = (ident) => {
    if (ident === null) return "unknown";
    const thread = threadsByIdent.get(ident);
    return thread?.name ? printable(thread.name, 40) : hex(ident);
  };
  fillSelect(controls.state, "all", units.map((unit) => unit.state), (value) => printable(value));
  fillSelect(controls.kind, "all", units.map((unit) => unit.kind), (value) => printable(value));
  fillSelect(controls.thread, "all", units.map((unit) => (unit.kind === "thread" ? unit.ident : unit.thread)), threadLabel);
}

const readFilter = () => ({ query: controls.query.value.trim(), state: controls.state.value, kind: controls.kind.value,
                            thread: controls.thread.value });

// Looks for one thing everywhere: what a link to a unit does.
function searchFor(query) {
  for (const control of Object.values(controls)) control.value = "";
  controls.query.value = query;
  graph.zoom = null;
  showAll();
  controls.query.focus({ preventScroll: true });
  byId("list-title").scrollIntoView();
}

// --- what follows from them

// The graph shows what passes the filters, and marks what the search has found; the list shows what the search has found
// below the graph's zoom.
function showAll() {
  const filter = readFilter();
  const { matching } = findGroups(filter, null);
  setGraph(findGroups({ ...filter, query: "" }, null).found, matching);
  showList(filter);
}

function showList(filter = readFilter()) {
  const { zoom, root } = graph;
  const zoomed = zoom !== root;
  const { found, matching } = findGroups(filter, zoomed ? stacksBelow(zoom) : null);
  showGroups(found, matching);
  const count = found.reduce((sum, each) => sum + each.units.length, 0);
  byId("status").textContent = `${number(count)} of ${counted(units.length, "unit")}, ${counted(found.length, "group")}`
    + (zoomed ? `, below ${labelOfNode(zoom)}` : "") + (filter.query ? `, found by \u201c${printable(filter.query)}\u201d` : "");
  byId("graph-hint").hidden = zoomed;
  byId("zoomed").textContent = zoomed ? `${labelOfNode(zoom)}: ${describeNode(zoom)}` : "";
  byId("zoom").hidden = !zoomed;
}

function start() {
  showVerdict();
  fillControls();
  startGraph();
  graph.onZoom = () => showList();
  let timer;
  controls.query.addEventListener("input", () => {
    clearTimeout(timer);
    // Long enough to type on, short enough to be an answer.
    timer = setTimeout(showAll, 150);
  });
  for (const name of ["state", "kind", "thread"]) controls[name].addEventListener("change", showAll);
  byId("clear").addEventListener("click", () => {
    for (const control of Object.values(controls)) control.value = "";
    graph.zoom = null;
    showAll();
  });
  byId("reset").addEventListener("click", () => zoomOn(graph.root));
  showAll();
  document.documentElement.dataset.ready = Math.round(performance.now());
}

start();
