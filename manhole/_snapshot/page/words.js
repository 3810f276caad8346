// How things are called on the page. All texts of the application go through printable().
"use strict";

// --- texts and numbers

// Longer texts are cut where they are listed; a place that shows one thing alone shows more of it.
const SHORT = 160;
const LONG = 4000;

// Control, format (direction overrides among them) and separator characters, and surrogates that have lost their other
// half: whatever would not be seen, or would make something else look different.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

// A text of the application as it may be shown: all of it visible, and not longer than `limit`.
function printable(text, limit = SHORT) {
  if (text.length > limit) {
    const tail = Math.floor(limit / 4);
    text = `${text.slice(0, limit - tail)} \u2026 ${text.slice(-tail)}`;
  }
  return text.replace(UNSEEN, (c) => `\\u${c.codePointAt(0).toString(16).padStart(4, "0")}`);
}

const hex = (ident) => `0x${ident.toString(16)}`;
const number = new Intl.NumberFormat("en").format;
const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

function percent(part, whole) {
  return whole ? `${((100 * part) / whole).toFixed(1)} %` : "";
}

function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} d`;
}

// --- frames and units

// The last two parts of a path tell files apart well enough where there is little room.
function shortPlace(frame) {
  const file = frame.file.split("/").slice(-2).join("/");
  return `${printable(file, 60)}:${frame.line}`;
}

const longPlace = (frame) => `${printable(frame.file, LONG)}:${frame.line}`;

function nameOf(unit, limit = SHORT) {
  return printable(unit.name || unit.type || unit.kind, limit);
}

function labelOf(ident) {
  const unit = unitOf(ident);
  if (unit) return nameOf(unit, 60);
  const hub = hubsByIdent.get(ident);
  return hub ? printable(hub, 60) : hex(ident);
}

// --- waits

const DIRECTIONS = {
  __proto__: null, read: "to read from", write: "to write to", "read or write": "to read from or write to",
  get: "to get from", put: "to put into",
};

function waitTarget(wait, which = null) {
  const type = printable(wait.type, 60);
  switch (wait.kind) {
    case "descriptor":
      return `${DIRECTIONS[wait.direction] ?? "for"} ${which === null ? "a descriptor" : `descriptor ${which}`}`;
    case "queue":
      return `${DIRECTIONS[wait.direction] ?? "for"} a ${type || "queue"}`;
    case "unit":
      return "for the end of a unit";
    case "timer":
      return "for a timer";
    case "DNS":
      return "for a DNS look-up";
    case "thread pool":
      return "for the thread pool";
    case "process":
      return "for a process to end";
    default:
      return `for ${printable(wait.kind)}${type && type.toLowerCase() !== wait.kind ? ` (${type})` : ""}`;
  }
}

// What a unit waits for, in full.
function describeWait(wait) {
  const parts = [waitTarget(wait, wait.descriptor)];
  if (wait.local || wait.remote) {
    parts.push([wait.local, wait.remote].filter(Boolean).map((each) => printable(each)).join(" \u2194 "));
  }
  if (wait.ident !== null) parts.push(hex(wait.ident));
  if (wait.owners.length) {
    const some = wait.owners.slice(0, 3).map(labelOf).join(", ");
    const more = wait.owners.length > 3 ? ` and ${number(wait.owners.length - 3)} more` : "";
    parts.push(`${wait.kind === "unit" ? "" : "owned by "}${some}${more}`);
  }
  if (wait.seconds !== null) {
    parts.push(wait.seconds < 0 ? `overdue by ${duration(-wait.seconds)}` : `${duration(wait.seconds)} left`);
  }
  return parts.join(", ");
}

// What several units wait for: the commonest reasons with their counts, and the thing itself where it is one for all.
function describeWaits(some) {
  const reasons = new Map();
  for (const unit of some) {
    if (!unit.wait) continue;
    const target = waitTarget(unit.wait);
    const reason = reasons.get(target) ?? { count: 0, wait: unit.wait, same: true };
    reason.count += 1;
    if (reason.wait.ident !== unit.wait.ident) reason.same = false;
    reasons.set(target, reason);
  }
  const sorted = [...reasons].sort((a, b) => b[1].count - a[1].count);
  const words = sorted.slice(0, 3).map(([target, { count, wait, same }]) => {
    if (some.length === 1) return describeWait(wait);
    const one = same && wait.ident !== null && count > 1 ? `, all the same one ${hex(wait.ident)}` : "";
    const owners = one && wait.owners.length ? `, owned by ${wait.owners.slice(0, 3).map(labelOf).join(", ")}` : "";
    return `${count === some.length ? "" : `${number(count)} `}${target}${one}${owners}`;
  });
  if (sorted.length > 3) words.push(`${sorted.length - 3} other reasons`);
  return words.length ? `wait ${words.join("; ")}` : "";
}
