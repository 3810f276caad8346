// The embedded data as frames, units and groups, and how they are found. The page is not touched here.
"use strict";

const snapshot = JSON.parse(document.getElementById("snapshot").textContent);

// --- frames

// Whose code a file is: it decides a frame's colour.
function ownerOf(file) {
  if (/[/\\](site|dist)-packages[/\\]/.test(file)) return "library";
  if (file.startsWith("<frozen ") || /[/\\](python|pypy)3?[0-9.]*[/\\]/.test(file)) return "standard";
  return "own";
}

const frames = snapshot.frames.map(([file, line, name, source]) => {
  const path = snapshot.strings[file];
  const frame = { file: path, line, function: snapshot.strings[name], source: snapshot.strings[source] };
  frame.owner = ownerOf(path);
  frame.text = `${frame.function} ${path}:${line}`.toLowerCase();
  return frame;
});

const stacks = snapshot.stacks.map((numbers) => numbers.map((each) => frames[each]));

// --- units

function readWait(row) {
  const text = (each) => snapshot.strings[each];
  const [kind, type, ident, owners, descriptor, direction, local, remote, seconds] = row;
  return { kind: text(kind), type: text(type), ident, owners, descriptor, direction: text(direction),
           local: text(local), remote: text(remote), seconds };
}

const units = snapshot.units.map((row) => {
  const text = (each) => snapshot.strings[each];
  const [ident, kind, type, name, state, thread, hub, parent, spawner, spawning, age, stack, wait, own] = row;
  return { ident, kind: text(kind), type: text(type), name: text(name), state: text(state), thread, hub, parent, spawner,
           spawning, age, stack, wait: wait && readWait(wait), own: own === 1, searched: null };
});

// An OS thread's ident and an object's id() are numbers of different worlds, which may meet.
const threadsByIdent = new Map();
const unitsByIdent = new Map();
for (const unit of units) {
  (unit.kind === "thread" ? threadsByIdent : unitsByIdent).set(unit.ident, unit);
}
const hubsByIdent = new Map(snapshot.hubs.map(([ident, kind, name]) => [ident, `${kind} ${name}`.trim()]));

const unitOf = (ident) => unitsByIdent.get(ident) ?? threadsByIdent.get(ident);

// --- groups, filters and search

// Those with one and the same stack; those without any by what they are.
function groupUnits() {
  const byKey = new Map();
  for (const unit of units) {
    const stack = stacks[unit.stack];
    const key = stack.length ? unit.stack : `${unit.state} ${unit.kind}`;
    let group = byKey.get(key);
    if (!group) byKey.set(key, (group = { stack, number: unit.stack, units: [] }));
    group.units.push(unit);
  }
  return [...byKey.values()];
}

const groups = groupUnits();

function passes(unit, filter) {
  return (filter.state === "" || unit.state === filter.state)
    && (filter.kind === "" || unit.kind === filter.kind)
    && (filter.thread === "" || String(unit.kind === "thread" ? unit.ident : unit.thread) === filter.thread);
}

// Made at the first search and kept: it is what a search costs.
function searchedText(unit) {
  unit.searched ??= [unit.name, unit.type, unit.kind, unit.state, hex(unit.ident), unit.wait ? describeWait(unit.wait) : ""]
    .join("\n").toLowerCase();
  return unit.searched;
}

// The groups that have units which pass, each with these units; the largest first.
//
// `below` is the set of stacks that the graph is zoomed on, null for all. A query that a group's stack contains finds all
// of the group.
function findGroups(filter, below) {
  const query = filter.query.toLowerCase();
  const matching = new Set(query ? frames.filter((frame) => frame.text.includes(query)) : []);
  const found = [];
  for (const group of groups) {
    if (below && !below.has(group.number)) continue;
    const whole = !query || group.stack.some((frame) => matching.has(frame));
    const some = group.units.filter((unit) => passes(unit, filter) && (whole || searchedText(unit).includes(query)));
    if (some.length) found.push({ group, units: some });
  }
  found.sort((a, b) => b.units.length - a.units.length);
  return { found, matching };
}
