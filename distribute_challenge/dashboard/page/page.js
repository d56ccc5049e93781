"use strict";
// Asks the server for a snapshot each second and draws it. Texts from the cluster only ever become
// text nodes and attributes, never markup.

const EVERY = 1000; // Milliseconds between two looks.
const COLOURS = 8;
const SVG = "http://www.w3.org/2000/svg";
const token = new URLSearchParams(location.search).get("token") ?? "";
const byId = (id) => document.getElementById(id);
const colours = new Map(); // By function, in the order in which they came.
let seen = 0; // When the last snapshot came.

// --- elements

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function empty(id, text) {
  byId(id).replaceChildren(element("p", { class: "empty" }, text));
}

function table(id, heads, rows, ifNone) {
  if (!rows.length) return empty(id, ifNone);
  const numbers = heads.map((_, i) => rows.every((row) => typeof row[i] === "number"));
  const cell = (name, content, i) => {
    const made = element(name, numbers[i] ? { class: "number" } : {});
    made.append(typeof content === "number" ? count(content) : content);
    return made;
  };
  const head = element("tr", {}, ...heads.map((text, i) => cell("th", text, i)));
  for (const each of head.children) each.setAttribute("scope", "col");
  const body = rows.map((row) => element("tr", {}, ...row.map((each, i) => cell("td", each, i))));
  byId(id).replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

// --- texts

const count = (number) => Math.round(number).toLocaleString("en");
const more = (number, what) => (number ? `and ${count(number)} more ${what}` : "");

function size(bytes) {
  for (const unit of ["bytes", "kB", "MB", "GB"]) {
    if (bytes < 999.95) return `${unit === "bytes" ? bytes : bytes.toFixed(1)} ${unit}`;
    bytes /= 1000;
  }
  return `${bytes.toFixed(1)} TB`;
}

function duration(seconds) {
  if (seconds < 0.0995) return `${(1000 * seconds).toPrecision(2)} ms`;
  if (seconds < 99.5) return `${seconds.toPrecision(2)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function colour(name) {
  if (!colours.has(name)) colours.set(name, colours.size % COLOURS);
  return `f${colours.get(name)}`;
}

// --- sections

function showTiles(now) {
  const { totals, redis, points } = now;
  const last = points.slice(-5);
  const rate = last.reduce((sum, point) => sum + point[1], 0) / Math.max(1, last.length);
  const tiles = [
    ["Workers", count(totals.workers), ""],
    ["Busy processes", count(totals.busy), ` of ${count(totals.processes)}`],
    ["Unfinished calls", count(totals.unfinished_calls), ""],
    ["Calls per second", rate < 10 ? rate.toFixed(1) : count(rate), ""],
    ["Calls ended", count(totals.calls), ""],
    ["Failed calls", count(totals.failed), "", totals.failed ? "bad" : ""],
    ["Lost messages", count(totals.lost_messages), "", totals.lost_messages ? "bad" : ""],
    ["Redis memory", size(redis.memory), redis.memory_limit ? ` of ${size(redis.memory_limit)}` : ""],
  ];
  byId("tiles").replaceChildren(
    ...tiles.map(([title, value, rest, kind = ""]) =>
      element("div", {}, element("dt", {}, title), element("dd", { class: kind }, value, element("small", {}, rest)))),
  );
}

function showNotes(notes) {
  byId("notes").hidden = !notes.length;
  byId("notes").replaceChildren(...notes.map((text) => element("li", {}, text)));
}

function showLegend(lanes) {
  const names = new Map();
  for (const lane of lanes) for (const bar of lane.bars) names.set(bar[2], (names.get(bar[2]) ?? 0) + bar[1]);
  const most = [...names].sort((a, b) => b[1] - a[1]).slice(0, 10).map(([name]) => name);
  const entries = most.map((name) => [colour(name), name]);
  if (lanes.some((lane) => lane.bars.some((bar) => bar[3] === "failed" || bar[3] === "lost"))) {
    entries.push(["failed", "failed or lost"]);
  }
  byId("legend").replaceChildren(...entries.map(([kind, name]) => {
    const sample = shape("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    sample.append(shape("rect", { width: 10, height: 10, rx: 2, class: kind }));
    return element("li", {}, sample, name);
  }));
}

function showStream(now) {
  const { lanes, window: span } = now;
  const svg = byId("stream");
  const width = Math.max(600, svg.parentElement.clientWidth);
  const left = Math.min(180, 0.28 * width);
  const step = lanes.length > 24 ? 14 : 22;
  const height = step * lanes.length + 22;
  const start = now.at - span;
  const x = (time) => left + ((Math.max(time, start) - start) / span) * (width - left - 4);
  const drawn = [];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  for (let ago = span; ago >= 0; ago -= 10) {
    const at = x(now.at - ago);
    drawn.push(shape("line", { x1: at, x2: at, y1: 0, y2: height - 18, class: "grid" }));
    const anchor = ago === 0 ? "end" : ago === span ? "start" : "middle";
    drawn.push(shape("text", { x: at, y: height - 4, "text-anchor": anchor }, ago ? `−${ago} s` : "now"));
  }
  lanes.forEach((lane, number) => {
    const y = step * number;
    const label = lane.pid ? `${lane.worker} ${lane.pid}` : lane.worker;
    const memory = lane.memory ? `  ${size(lane.memory)}` : "";
    const text = shape("text", { x: 0, y: y + step / 2 + 4, class: lane.is_here ? "" : "gone" },
      label.length > 28 ? `…${label.slice(-27)}` : label);
    text.append(shape("title", {}, label + memory));
    drawn.push(text, shape("rect", { x: left, y: y + 1, width: width - left - 4, height: step - 3, class: "row" }));
    for (const [began, took, name, state, messages] of lane.bars) {
      if (began + took < start) continue;
      const kind = state === null ? `${colour(name)} running` : state === "done" ? colour(name) : state;
      const bar = shape("rect", {
        x: x(began).toFixed(1), y: y + 1, height: step - 3, class: kind,
        width: Math.max(1, x(began + took) - x(began)).toFixed(1),
      });
      const what = messages > 1 ? `${count(messages)} messages in` : "";
      bar.append(shape("title", {}, `${name}: ${state ?? "runs"} ${what} ${duration(took)}`));
      drawn.push(bar);
    }
    lane.busy.forEach((share, second) => {
      if (share) {
        drawn.push(shape("rect", {
          x: x(start + second).toFixed(1), y: y + 1, height: step - 3, class: "f0", "fill-opacity": share,
          width: ((width - left) / span).toFixed(1),
        }));
      }
    });
  });
  svg.replaceChildren(...drawn);
  const isJoined = lanes.some((lane) => lane.busy.length);
  byId("stream-range").textContent = isJoined ? "share of busy processes, by worker" : "messages, by process";
  byId("stream-more").textContent = lanes.length ? more(now.lanes_left_out, "rows") : "no worker has reported yet";
}

function showCurve(id, points, lines, show) {
  const svg = byId(id);
  const width = Math.max(300, svg.clientWidth);
  const height = 170, left = 58, top = 8, bottom = 24;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const largest = Math.max(...points.flatMap((point) => lines.map(([field]) => point[field] ?? 0)), 0);
  if (points.length < 2) {
    svg.replaceChildren(shape("text", { x: 0, y: 20 }, "no figures yet"));
    return;
  }
  const highest = 1.05 * largest || 1;
  const first = points[0][0], last = points[points.length - 1][0];
  const x = (time) => left + ((time - first) / (last - first)) * (width - left - 6);
  const y = (value) => top + (1 - value / highest) * (height - top - bottom);
  const drawn = [];
  for (const share of [0, 0.5, 1]) {
    const at = y(share * highest);
    drawn.push(shape("line", { x1: left, x2: width - 6, y1: at, y2: at, class: "grid" }));
    drawn.push(shape("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, show(share * highest)));
  }
  for (const [field, stroke] of lines) {
    let path = "", before = -Infinity;
    for (const point of points) {
      if (point[field] === null) continue;
      // Reports come about once a second, so that now and then a second has none.
      path += `${point[0] - before > 3 ? "M" : "L"}${x(point[0]).toFixed(1)} ${y(point[field]).toFixed(1)}`;
      before = point[0];
    }
    if (path) {
      drawn.push(shape("path", { d: path, fill: "none", stroke: `var(--${stroke})`, "stroke-width": 1.6,
        "stroke-linecap": "round", "stroke-linejoin": "round" }));
    }
  }
  const ago = Math.round(last - first);
  drawn.push(shape("text", { x: left, y: height - 6 }, `−${ago} s`));
  drawn.push(shape("text", { x: width - 6, y: height - 6, "text-anchor": "end" }, "now"));
  svg.replaceChildren(...drawn);
}

function progress(title, words, total, parts) {
  const bar = shape("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  let x = 0;
  for (const [kind, amount] of parts) {
    const width = total ? (100 * amount) / total : 0;
    bar.append(shape("rect", { x, y: 0, width, height: 1, class: kind }));
    x += width;
  }
  const head = element("p", {}, element("b", {}, title), element("span", {}, words));
  return element("div", { class: "progress" }, head, bar);
}

function showProgress(now) {
  const functions = now.functions.map((row) => {
    const open = row.waiting + row.out;
    const words = [`${count(row.done)} of ${count(row.done + open)}`];
    if (row.failed) words.push(`${count(row.failed)} failed`);
    if (row.seconds) words.push(`${duration(row.seconds / row.done)} each`);
    return progress(row.name, words.join(", "), row.done + open,
      [["bar-failed", row.failed], ["bar-done", row.done - row.failed], ["bar-out", row.out]]);
  });
  if (functions.length) byId("functions").replaceChildren(...functions);
  else empty("functions", "no calls since the watch began");
  byId("functions-more").textContent = more(now.functions_left_out, "functions");
  const maps = now.maps.map((row) => {
    const words = [row.total === null ? count(row.done) : `${count(row.done)} of ${count(row.total)}`];
    if (row.failed) words.push(`${count(row.failed)} failed`);
    if (!row.is_open) words.push("over");
    return progress(row.name, words.join(", "), row.total ?? row.done,
      [["bar-failed", row.failed], ["bar-done", row.done - row.failed]]);
  });
  if (maps.length) byId("maps").replaceChildren(...maps);
  else empty("maps", "no map since the watch began");
  showGraphs(now);
}

function showGraphs(now) {
  const graphs = now.graphs.map((row) => {
    // Of a graph that has failed it is not known which calls did not begin.
    const ended = row.ended ?? 0;
    const words = [row.ended === null ? `${count(row.calls)} calls` : `${count(ended)} of ${count(row.calls)}`];
    if (row.out) words.push(`${count(row.out)} out`);
    const lost = (number, what) => {
      if (number) words.push(row.results > 1 ? `${count(number)} of ${count(row.results)} results ${what}` : what);
    };
    lost(row.failed, "failed");
    lost(row.cancelled, "cancelled");
    words.push(row.is_open ? `for ${duration(row.took)}` : `over after ${duration(row.took)}`);
    const made = progress(row.name, words.join(", "), row.calls,
      row.ended === null ? [["bar-failed", row.failed ? row.calls : 0]] : [["bar-done", ended], ["bar-out", row.out]]);
    made.title = `begun at ${new Date(1000 * row.began).toLocaleTimeString()}`;
    return made;
  });
  if (graphs.length) byId("graphs").replaceChildren(...graphs);
  else empty("graphs", "no graph since the watch began");
  byId("graphs-more").textContent = more(now.graphs_left_out, "graphs");
}

const shownFailures = new Map(); // Kept, so that an open one stays open.

function showFailures(now) {
  const rows = now.failures.map((row) => {
    const key = JSON.stringify([row.at, row.worker, row.pid]);
    if (!shownFailures.has(key)) {
      const at = new Date(1000 * row.at).toLocaleTimeString();
      shownFailures.set(key, element("details", {},
        element("summary", {}, element("b", { class: "bad" }, row.error), " ",
          element("span", {}, `${row.function} on ${row.worker}, process ${row.pid}, ${at}`)),
        element("pre", {}, row.traceback || "nothing else is known")));
    }
    return shownFailures.get(key);
  });
  for (const [key, row] of shownFailures) if (!rows.includes(row)) shownFailures.delete(key);
  const list = byId("failures");
  if (!rows.length) empty("failures", "none since the watch began");
  else if (rows.length !== list.children.length || rows.some((row, i) => row !== list.children[i])) {
    list.replaceChildren(...rows);
  }
  byId("failures-more").textContent = more(now.failures_left_out, "failures");
}

function memory(used, limit) {
  if (used === null) return "";
  const made = element("span", {});
  made.append(element("meter", { min: 0, max: limit, value: used, high: 0.9 * limit, "aria-hidden": "true" }));
  made.append(`${size(used)} of ${size(limit)}`);
  return made;
}

function showTables(now) {
  const states = { here: ["good", "here"], silent: ["warn", "silent"], lost: ["bad", "lost"], ended: ["", "ended"] };
  table("workers",
    ["Worker", "State", "Busy", "Memory", "Last sign of life", "Queues", "Python", "Library", "Process", "Refused"],
    now.workers.map((row) => [
      row.name,
      element("span", { class: states[row.state][0] }, states[row.state][1]),
      row.busy === null ? `of ${row.processes}` : `${row.busy} of ${row.processes}`,
      memory(row.memory, row.memory_limit),
      row.age < 90 ? `${Math.round(row.age)} s ago` : `${duration(row.age)} ago`, row.queues.join(", "), row.python, row.library, String(row.pid), row.refused,
    ]), "no worker is present");
  byId("workers-more").textContent = more(now.workers_left_out, "workers");
  table("queues", ["Queue", "Unfinished calls", "Messages in Redis", "Processes"],
    now.queues.map((row) => [row.name, row.unfinished_calls, row.messages, row.processes]), "none");
  byId("item-queues-section").hidden = !now.item_queues.length;
  table("item-queues", ["Queue", "Waiting", "Not done", "Dead letters", "Room for"],
    now.item_queues.map((row) => [row.name, row.waiting, row.unfinished,
      row.dead ? element("span", { class: "bad" }, count(row.dead)) : 0, row.maxsize || "no limit"]), "none");
  byId("item-queues-more").textContent = more(now.item_queues_left_out, "queues of items");
  table("clients", ["Client", "Unfinished calls", "Python", "Library"],
    now.clients.map((row) => [`${row.host}, process ${row.pid}`, row.unfinished_calls, row.python, row.library]),
    "no client is present");
  byId("clients-more").textContent = more(now.clients_left_out, "clients");
}

function show(now) {
  byId("broker").textContent = `${now.broker}, Redis ${now.redis.version}`;
  document.title = `${count(now.totals.busy)} of ${count(now.totals.processes)} busy`;
  showNotes(now.notes);
  showTiles(now);
  showLegend(now.lanes);
  showStream(now);
  showCurve("throughput", now.points, [[1, "calls"], [2, "bad"]], (value) => (value < 10 ? value.toFixed(1) : count(value)));
  showCurve("latency", now.points, [[4, "second"], [3, "calls"]], (value) => (value ? duration(value) : "0"));
  showProgress(now);
  showFailures(now);
  showTables(now);
}

// --- the loop

function tell(text, isStale) {
  const status = byId("status");
  if (status.textContent !== text) status.textContent = text;
  status.classList.toggle("stale", isStale);
}

async function look() {
  try {
    const answer = await fetch("api/snapshot", { headers: { Authorization: `Bearer ${token}` }, cache: "no-store" });
    if (answer.ok) {
      show(await answer.json());
      seen = Date.now();
      tell("live", false);
    } else {
      tell((await answer.text()).trim(), true);
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // Of fetch: no answer.
    tell(seen ? "the dashboard has ended; figures are old" : "the dashboard does not answer", true);
  } finally {
    setTimeout(look, EVERY);
  }
}

look();
