// What the page shows of a feed, and how it is kept up to date: every interval the hub asks the
// server what changed since the message all parts have, and hands each part its changes, all in one
// go. A run of the page is asked for only where the page has to be built differently, or where the
// server does not answer.
import { heard } from "./watch.js";

const shown = new Map(); // key of a part -> what the browser has of it
let plan = null; // the feed that is followed; set by the page's own run
let timer = null;
let asking = false;
let triggered = -Infinity;
const AGAIN_MS = 3000;
const PATIENCE_MS = 5000;
const BYTES = "application/octet-stream";

// A message: the length of its head, the head as JSON, then the columns' bytes.
export function read(bytes) {
  const start = bytes.byteOffset;
  const length = new DataView(bytes.buffer, start, 4).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { head, floats: floatsOf(bytes.buffer, start + 4 + length) };
}

function floatsOf(buffer, base) {
  return (kind, offset, count) => {
    const Kind = kind === "f4" ? Float32Array : Float64Array;
    const from = base + offset;
    // A copy: a view would have to begin at a multiple of its size.
    return new Kind(buffer.slice(from, from + count * Kind.BYTES_PER_ELEMENT));
  };
}

// A column whole, or made of the one before: its values moved, some replaced, some added.
export function column(told, before, floats) {
  if (told === null) return before;
  if (told.d) return { kind: told.d, time: Boolean(told.t), values: floats(told.d, told.o, told.n) };
  const news = floats(before.kind, told.o, told.at.length + told.n - told.m);
  const values = new before.values.constructor(told.n);
  values.set(before.values.subarray(told.k, told.k + told.m));
  told.at.forEach((place, i) => (values[place] = news[i]));
  values.set(news.subarray(told.at.length), told.m);
  return { ...before, values };
}

function merged(told, before, head, floats) {
  return {
    feed: head.feed,
    seq: head.seq,
    fields: told.since ? { ...before.fields, ...told.fields } : told.fields,
    columns: told.columns.map((one, i) => column(one, before?.columns[i], floats)),
  };
}

// A part as the page's own run brings it: whole, for the place that shows it. A run brings again
// what has not changed; that is drawn anew on another ground alone.
export function take(bytes, show, ground) {
  heard();
  const { head, floats } = read(bytes);
  const [key, told] = Object.entries(head.parts)[0];
  const has = shown.get(key);
  const here = has?.show === show;
  if (here && has.ground === ground && same(has.bytes, bytes)) return;
  // The run may have been slower than the hub: what is newer of the same feed stays.
  const older = here && has.part.feed === head.feed && has.part.seq > head.seq;
  const part = older ? has.part : merged(told, null, head, floats);
  shown.set(key, { part, show, ground, bytes });
  if (!older || has.ground !== ground) show(part);
}

const same = (one, other) => one.length === other.length && one.every((byte, i) => byte === other[i]);

export function drop(show) {
  for (const [key, has] of shown) if (has.show === show) shown.delete(key);
}

const followed = () => [...shown.values()].filter(({ part }) => part.feed === plan.feed);

// The number of the message that every part has; 0 where they differ: all of it is asked for then.
function common() {
  const numbers = new Set(followed().map(({ part }) => part.seq));
  return numbers.size === 1 ? [...numbers][0] : 0;
}

function apply({ head, floats }) {
  if (!plan || head.feed !== plan.feed) return;
  if (head.structure !== plan.structure) return rerun();
  const news = [];
  for (const [key, has] of shown) {
    if (has.part.feed !== head.feed || has.part.seq >= head.seq) continue;
    const told = head.parts[key];
    if (told?.since && has.part.seq !== head.from) continue; // another message came between
    if (!told && !(head.from && has.part.seq === head.from)) continue;
    has.part = told ? merged(told, has.part, head, floats) : { ...has.part, seq: head.seq };
    if (told) news.push(has);
  }
  for (const { show, part } of news) show(part);
}

function rerun() {
  const now = performance.now(); // a clock that nobody sets
  if (now - triggered < Math.min(AGAIN_MS, plan.interval)) return;
  triggered = now;
  plan.trigger("rerun", Date.now());
}

// The bytes of the answer, or null where there is none: a page that something between here and the
// server gave instead is none.
async function fetched(address) {
  try {
    const answer = await fetch(address, {
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (answer.status !== 200 || answer.headers.get("content-type") !== BYTES) return null;
    const bytes = new Uint8Array(await answer.arrayBuffer());
    heard();
    return bytes;
  } catch (problem) {
    if (problem instanceof TypeError || problem instanceof DOMException) return null;
    throw problem;
  }
}

async function ask() {
  if (asking || !plan) return;
  asking = true;
  const { feed, url } = plan;
  try {
    const bytes = await fetched(`${url}${feed}?have=${common()}`);
    if (bytes) apply(read(bytes));
    else if (plan?.feed === feed) rerun();
  } finally {
    asking = false;
  }
}

// Mounted with every run of the page that follows a feed.
export function follow({ data, setTriggerValue }) {
  const interval = plan?.interval;
  plan = { ...data, trigger: setTriggerValue };
  if (data.again) setTimeout(() => plan?.again && rerun(), AGAIN_MS);
  if (timer === null || interval !== data.interval) {
    clearInterval(timer);
    timer = setInterval(ask, data.interval);
  }
}

export function unfollow() {
  clearInterval(timer);
  timer = null;
  plan = null;
}
