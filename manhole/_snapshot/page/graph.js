// The icicle graph: a tree of the stacks' frames, callers on top, each as wide as the number of units in it.
"use strict";

const graph = {
  box: document.getElementById("graph"),
  tip: document.getElementById("tip"),
  root: null,
  zoom: null, // the node that has the whole width
  matching: new Set(), // the frames that a search has found
  shown: new Map(), // element -> node, and
  elements: new Map(), // node -> element
  tipped: null, // the element that the tooltip is about
  onZoom: () => {},
};

// Narrower ones could be neither seen nor hit.
const MIN_PIXELS = 3;

// --- the tree

function makeNode(frame, parent) {
  return { frame, parent, depth: parent ? parent.depth + 1 : 0, count: 0, here: 0, start: 0, children: new Map(), stack: null,
           foundBelow: false };
}

// The tree of some groups' stacks. The manhole's own threads are not what anybody looks for in a picture.
function buildTree(found, matching) {
  const root = makeNode(null, null);
  for (const { group, units: some } of found) {
    const count = some.reduce((sum, unit) => sum + (unit.own ? 0 : 1), 0);
    if (!group.stack.length || !count) continue;
    let node = root;
    node.count += count;
    for (const frame of group.stack) {
      let child = node.children.get(frame);
      if (!child) {
        node.children.set(frame, (child = makeNode(frame, node)));
        if (matching.has(frame)) for (let each = child; each && !each.foundBelow; each = each.parent) each.foundBelow = true;
      }
      child.count += count;
      node = child;
    }
    node.here += count;
    node.stack = group.number;
  }
  // Not by recursion: a stack may be deeper than the browser's own.
  const left = [root];
  while (left.length) {
    const node = left.pop();
    node.children = [...node.children.values()].sort((a, b) => b.count - a.count);
    let start = node.start;
    for (const child of node.children) {
      child.start = start;
      start += child.count;
      left.push(child);
    }
  }
  return root;
}

// The numbers of the stacks that go through `node`.
function stacksBelow(node) {
  const numbers = new Set();
  const left = [node];
  while (left.length) {
    const each = left.pop();
    if (each.stack !== null) numbers.add(each.stack);
    for (const child of each.children) left.push(child);
  }
  return numbers;
}

function pathOf(node) {
  const path = [];
  for (let each = node; each.frame; each = each.parent) path.unshift(each.frame);
  return path;
}

// The node at the same place of another tree, or as far down as there is one.
function samePlace(root, path) {
  let node = root;
  for (const frame of path) {
    const child = node.children.find((each) => each.frame === frame);
    if (!child) break;
    node = child;
  }
  return node;
}

// --- drawing

// A name in a narrower one would be one letter or none.
const MIN_LABEL_PIXELS = 22;

const labelOfNode = (node) => (node.frame ? printable(node.frame.function, 120) : `all ${counted(node.count, "unit")}`);

function drawNode(node, fragment) {
  const { zoom } = graph;
  const isCaller = node.depth < zoom.depth;
  const share = isCaller || node === zoom ? 1 : node.count / zoom.count;
  const element = make("div", `node ${node.frame ? node.frame.owner : "all"}`);
  element.classList.toggle("caller", isCaller);
  element.classList.toggle("found", graph.matching.has(node.frame));
  place(element, node.depth, share === 1 ? 0 : (node.start - zoom.start) / zoom.count, share);
  if (share * graph.box.clientWidth >= MIN_LABEL_PIXELS) element.textContent = labelOfNode(node);
  element.tabIndex = node === zoom ? 0 : -1;
  element.setAttribute("role", "treeitem");
  element.setAttribute("aria-level", node.depth + 1);
  element.setAttribute("aria-label", `${labelOfNode(node)}, ${describeNode(node)}`);
  fragment.append(element);
  graph.shown.set(element, node);
  graph.elements.set(node, element);
}

// What stands for a node's children that are too narrow: they are the last ones.
function drawRest(node, first, fragment) {
  const element = make("div", "rest");
  const { count, start } = graph.zoom;
  element.classList.toggle("found", node.children.slice(node.children.indexOf(first)).some((each) => each.foundBelow));
  const end = node.children[node.children.length - 1];
  place(element, node.depth + 1, (first.start - start) / count, (end.start + end.count - first.start) / count);
  fragment.append(element);
}

function place(element, row, left, width) {
  element.style.left = `${100 * left}%`;
  element.style.width = `${100 * width}%`;
  element.style.setProperty("--row", row);
}

// Draws the callers of the zoomed node, itself, and all below that is wide enough.
function drawGraph() {
  const hadFocus = graph.box.contains(document.activeElement);
  const { zoom } = graph;
  const fragment = document.createDocumentFragment();
  graph.shown.clear();
  graph.elements.clear();
  hideTip();
  for (let node = zoom.parent; node; node = node.parent) drawNode(node, fragment);
  const least = (MIN_PIXELS * zoom.count) / graph.box.clientWidth;
  const left = [zoom];
  let depth = zoom.depth;
  while (left.length) {
    const node = left.pop();
    drawNode(node, fragment);
    depth = Math.max(depth, node.depth + (node.children.length ? 1 : 0));
    for (const child of node.children) {
      if (child.count < least) {
        drawRest(node, child, fragment);
        break;
      }
      left.push(child);
    }
  }
  graph.box.replaceChildren(fragment);
  graph.box.style.setProperty("--rows", depth + 1);
  graph.box.classList.toggle("searched", graph.matching.size > 0);
  if (hadFocus) graph.elements.get(zoom)?.focus({ preventScroll: true });
}

// Shows other groups, at the same zoom as far as that is there.
function setGraph(found, matching) {
  const path = graph.zoom ? pathOf(graph.zoom) : [];
  graph.root = buildTree(found, matching);
  graph.zoom = samePlace(graph.root, path);
  graph.matching = matching;
  drawGraph();
}

function zoomOn(node) {
  graph.zoom = node;
  drawGraph();
  graph.onZoom();
}

// --- the tooltip

function describeNode(node) {
  const share = node.frame ? `${number(node.count)} of ${counted(graph.root.count, "unit")} (${percent(node.count, graph.root.count)})`
    : counted(node.count, "unit");
  return node.here ? `${share}, ${number(node.here)} of them right here` : share;
}

function showTip(element) {
  const node = graph.shown.get(element);
  const lines = [make("b", "", node.frame ? printable(node.frame.function, 600) : "all stacks")];
  if (node.frame) lines.push(make("span", "", longPlace(node.frame)));
  if (node.frame?.source) lines.push(make("code", "", printable(node.frame.source, 400)));
  lines.push(make("span", "", describeNode(node)));
  graph.tip.replaceChildren(...lines);
  graph.tipped = element;
  placeTip();
}

// Below its node, or above it where there is no room; always within the window.
function placeTip() {
  if (!graph.tipped) return;
  graph.tip.hidden = false;
  const at = graph.tipped.getBoundingClientRect();
  const tip = graph.tip.getBoundingClientRect();
  const top = at.bottom + 6 + tip.height < innerHeight ? at.bottom + 6 : Math.max(4, at.top - tip.height - 6);
  const left = Math.min(at.left, document.documentElement.clientWidth - tip.width - 4);
  graph.tip.style.top = `${top}px`;
  graph.tip.style.left = `${Math.max(4, left)}px`;
}

function hideTip() {
  graph.tipped = null;
  graph.tip.hidden = true;
}

// --- mouse and keyboard

function neighbour(node, key) {
  const visible = (each) => graph.elements.has(each);
  if (key === "ArrowUp") return node.parent;
  if (key === "ArrowDown") return node.children.find(visible);
  if (!node.parent) return null;
  const row = node.parent.children.filter(visible);
  return row[row.indexOf(node) + (key === "ArrowRight" ? 1 : -1)];
}

function startGraph() {
  const nodeAt = (event) => event.target.closest(".node");
  graph.box.addEventListener("click", (event) => {
    const element = nodeAt(event);
    if (element) zoomOn(graph.shown.get(element));
  });
  for (const type of ["mouseover", "focusin"]) {
    graph.box.addEventListener(type, (event) => nodeAt(event) && showTip(nodeAt(event)));
  }
  for (const type of ["mouseleave", "focusout"]) graph.box.addEventListener(type, hideTip);
  addEventListener("scroll", placeTip, { capture: true, passive: true });
  graph.box.addEventListener("keydown", (event) => {
    const node = graph.shown.get(nodeAt(event));
    if (!node) return;
    if (event.key === "Enter" || event.key === " ") {
      zoomOn(node);
    } else if (event.key === "Escape") {
      zoomOn(graph.root);
    } else if (event.key.startsWith("Arrow")) {
      const next = graph.elements.get(neighbour(node, event.key));
      if (!next) return;
      nodeAt(event).tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    } else {
      return;
    }
    event.preventDefault();
  });
  // The percentages follow a new width by themselves; which nodes are wide enough does not.
  let timer;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(drawGraph, 150);
  });
}
