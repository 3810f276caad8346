// The list: a line per group of identical stacks; the stack and the units are made only when a group is opened.
"use strict";

const GROUPS_AT_ONCE = 50;
const UNITS_AT_ONCE = 50;

// --- elements

// All of the page's elements are made here, and all texts are set as texts.
function make(tag, className = "", ...contents) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...contents.filter((each) => each !== "" && each !== null));
  return element;
}

function makeButton(text, onClick) {
  const button = make("button", "", text);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
}

// A name of a unit that leads to it.
function makeLink(ident) {
  const button = makeButton(labelOf(ident), () => searchFor(hex(ident)));
  button.className = "link";
  button.title = `find ${hex(ident)}`;
  return button;
}

// A <details> whose content is made when it is first opened.
function makeFolded(className, summary, fill) {
  const details = make("details", className, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) fill(details);
  });
  return details;
}

// Puts what `makeOne` makes of each item into `box`, a page at a time.
function fillInPages(box, items, size, what, makeOne) {
  let next = 0;
  const button = makeButton("", () => {
    const first = next;
    add();
    box.children[first]?.querySelector("summary")?.focus();
  });
  button.className = "more";
  function add() {
    button.remove();
    box.append(...items.slice(next, next + size).map(makeOne));
    next += size;
    const remaining = items.length - next;
    if (remaining > 0) {
      button.textContent = `Show ${number(Math.min(size, remaining))} more of the other ${counted(remaining, what)}`;
      box.append(button);
    }
  }
  add();
}

// --- stacks

function makeStack(stack, matching) {
  const list = make("ol", "stack");
  for (const frame of stack) {
    const item = make("li", frame.owner,
      make("span", "function", printable(frame.function, LONG)), " ",
      make("span", "place", longPlace(frame)),
      frame.source ? make("code", "source", printable(frame.source, 400)) : "");
    item.classList.toggle("found", matching.has(frame));
    list.append(item);
  }
  return list;
}

// --- units

function makeFacts(pairs) {
  const list = make("dl", "facts");
  for (const [term, value] of pairs) {
    if (value === null || value === "") continue;
    list.append(make("dt", "", term), make("dd", "", ...[value].flat()));
  }
  return list;
}

function fillUnit(details, unit, matching) {
  const link = (ident) => (ident === null ? null : [makeLink(ident), labelOf(ident) === hex(ident) ? "" : ` ${hex(ident)}`]);
  const owners = unit.wait?.owners.slice(0, 20).flatMap((ident) => [makeLink(ident), " "]) ?? [];
  const thread = unit.thread === null ? null : threadsByIdent.get(unit.thread);
  details.append(makeFacts([
    ["name", printable(unit.name, LONG)],
    ["kind", printable(unit.kind) + (unit.type ? `, class ${printable(unit.type)}` : "") + (unit.own ? ", the manhole's own" : "")],
    ["state", printable(unit.state)],
    ["ident", hex(unit.ident)],
    ["waits", unit.wait ? printable(describeWait(unit.wait), LONG) : ""],
    [unit.wait?.kind === "unit" ? "waits for" : "owned by", owners.length ? owners : null],
    ["age", unit.age === null ? "" : duration(unit.age)],
    ["thread", unit.thread === null ? "" : `${thread ? `${nameOf(thread)} ` : ""}${hex(unit.thread)}`],
    ["hub", unit.hub === null ? "" : `${printable(hubsByIdent.get(unit.hub) ?? "")} ${hex(unit.hub)}`],
    ["parent", link(unit.parent)],
    ["spawned by", link(unit.spawner)],
  ]));
  const spawning = stacks[unit.spawning];
  if (spawning.length) details.append(make("p", "caption", "spawned at"), makeStack(spawning, matching));
}

function makeUnit(unit, matching) {
  const summary = make("summary", "",
    make("span", "name", nameOf(unit, 80)),
    make("span", "tags", `${printable(unit.kind)}, ${printable(unit.state)}${unit.own ? ", the manhole's own" : ""}`),
    make("span", "wait", unit.wait ? printable(describeWait(unit.wait), 200) : ""),
    make("span", "age", unit.age === null ? "" : duration(unit.age)),
    make("span", "ident", hex(unit.ident)));
  return makeFolded("unit", summary, (details) => fillUnit(details, unit, matching));
}

// --- groups

// "9,840 suspended Greenlet; 2 running thread", the commonest first.
function describeKinds(some) {
  const kinds = new Map();
  for (const unit of some) {
    const kind = `${unit.state} ${unit.kind}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const sorted = [...kinds].sort((a, b) => b[1] - a[1]);
  const words = sorted.slice(0, 3).map(([kind, count]) => `${sorted.length > 1 ? `${number(count)} ` : ""}${printable(kind)}`);
  return words.join("; ") + (sorted.length > 3 ? " \u2026" : "") + (some.every((unit) => unit.own) ? ", the manhole's own" : "");
}

function describeNames(some) {
  const names = new Set();
  for (const unit of some) {
    if (unit.name) names.add(unit.name);
    if (names.size > 4) break;
  }
  const words = [...names].slice(0, 4).map((name) => printable(name, 40));
  return words.join(", ") + (names.size > 4 ? " \u2026" : "");
}

// Where the stack has left the application's own code tells more than the library's function that it ends in.
function describePlace(stack) {
  const last = stack[stack.length - 1];
  if (!last) return [make("span", "function", "no stack")];
  const parts = [make("span", "function", printable(last.function, 100)), make("span", "place", shortPlace(last))];
  const own = stack.findLast((frame) => frame.owner === "own");
  if (own && own !== last) {
    parts.push(make("span", "from", "from ", make("span", "function", printable(own.function, 100)), " ",
      make("span", "place", shortPlace(own))));
  }
  return parts;
}

function makeGroup({ group, units: some }, matching) {
  const total = group.units.length;
  const summary = make("summary", "",
    make("span", "count", number(some.length), some.length < total ? make("small", "", ` of ${number(total)}`) : ""),
    make("span", "where", ...describePlace(group.stack)),
    make("span", "what", make("span", "tags", describeKinds(some)), make("span", "wait", describeWaits(some)),
      make("span", "names", describeNames(some))));
  return makeFolded("group", summary, (details) => {
    const box = make("div", "units");
    fillInPages(box, some, UNITS_AT_ONCE, "unit", (unit) => makeUnit(unit, matching));
    details.append(group.stack.length ? makeStack(group.stack, matching) : "", make("p", "caption", counted(some.length, "unit")), box);
  });
}

function showGroups(found, matching) {
  const box = document.getElementById("groups");
  box.replaceChildren();
  fillInPages(box, found, GROUPS_AT_ONCE, "group", (each) => makeGroup(each, matching));
  // One alone is what was looked for.
  if (found.length === 1) box.firstElementChild.open = true;
}
