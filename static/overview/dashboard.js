// The dashboard: what the stream says goes on the page, and the charts are read again now and then.

import { Charts } from "./charts.js";
import { duration, fill } from "./format.js";
import { Live } from "./live.js";
import { Pools } from "./pools.js";
import { Tiles, showUptime } from "./tiles.js";

const CHARTS_EVERY_MS = 15000;
const HOUR = "1h";

const config = JSON.parse(document.getElementById("dashboard-config").textContent);
const { texts } = config;
const root = document.getElementById("dashboard");
const tiles = new Tiles(root, texts);
const pools = new Pools(root, config);
const charts = new Charts(root, texts);
const buttons = [...root.querySelectorAll("[data-span]")];
let span = HOUR;

function note(name, text) {
  const element = root.querySelector(`[data-note="${name}"]`);
  element.hidden = !text;
  const target = element.querySelector("[data-text]");
  // A text that stays the same is not announced again.
  if (target.textContent !== text) target.textContent = text;
  return element;
}

function showSnapshot(snapshot) {
  tiles.show(snapshot);
  pools.show(snapshot);
  showUptime(root, snapshot.uptime_seconds);
  showStart(snapshot);
  note("database", snapshot.database === "ok" ? "" : texts.databaseNote);
  note("workers", snapshot.workers > 1 ? fill(texts.workersNote, { workers: snapshot.workers }) : "");
}

function showStart({ backends, models, total }) {
  const step = !backends.length ? "backend" : !models.length ? "models" : total?.total_requests === 0 ? "request" : "";
  root.querySelector("[data-start]").hidden = !step;
  for (const element of root.querySelectorAll("[data-step]")) element.hidden = element.dataset.step !== step;
  const example = root.querySelector("[data-example]");
  if (step === "request" && example.textContent.includes("MODEL")) example.textContent = example.textContent.replace("MODEL", models[0]);
}

const WORDS = { connecting: texts.connecting, live: texts.live, stale: texts.stale, "signed-out": texts.signedOut };

function showState(state) {
  if (root.dataset.state === state) return;
  root.dataset.state = state;
  root.querySelector("[data-connection]").textContent = WORDS[state];
  const words = { stale: live.arrivedAt === null ? "" : texts.staleNote, "signed-out": texts.signedOutNote }[state] ?? "";
  const element = note("connection", fill(words, { age: duration(live.ageSeconds()) }));
  element.querySelector("[data-sign-in]").hidden = state !== "signed-out";
}

const live = new Live(config.stream, { onSnapshot: showSnapshot, onState: showState });

setInterval(() => {
  if (live.arrivedAt !== null) root.querySelector("[data-age]").textContent = fill(texts.updated, { age: duration(live.ageSeconds()) });
}, 1000);

async function read(name) {
  const answer = await fetch(`${config.series}?span=${name}`);
  if (!answer.ok) throw new Error(`The points of ${name} were refused with status ${answer.status}.`);
  return answer.json();
}

async function readCharts() {
  if (document.hidden) return;
  const chosen = span;
  try {
    const [hour, points] = await Promise.all([read(HOUR), chosen === HOUR ? null : read(chosen)]);
    tiles.showHour(hour.points);
    // Somebody may have chosen another span meanwhile.
    if (chosen === span) charts.show(points ?? hour);
    note("charts", "");
  } catch {
    note("charts", texts.chartFailed);
  }
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    span = button.dataset.span;
    for (const each of buttons) each.setAttribute("aria-pressed", String(each === button));
    readCharts();
  });
}

const copy = root.querySelector("[data-copy]");
// Browsers let pages copy only over TLS or on this machine.
copy.hidden = !navigator.clipboard;
copy.addEventListener("click", async ({ currentTarget }) => {
  await navigator.clipboard.writeText(root.querySelector("[data-example]").textContent);
  const before = currentTarget.textContent;
  currentTarget.textContent = texts.copied;
  setTimeout(() => (currentTarget.textContent = before), 2000);
});

document.addEventListener("visibilitychange", readCharts);
setInterval(readCharts, CHARTS_EVERY_MS);
readCharts();
live.open();
