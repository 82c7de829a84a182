// Every pool with its backends, and the last cooldown events. Rows stay the same elements from update to update, so that
// focus and selection stay where they are.

import { NONE, duration, fill, milliseconds, moment, number, percent } from "./format.js";

const ICONS = { healthy: "check_circle", cooling: "mode_cool", error: "error", disabled: "do_not_disturb_on" };
const ERRORS = { credentials: "errorCredentials", quota: "errorQuota", key: "errorKey" };

// The children of `parent` by key, in the order of `items`: made, moved and taken away as needed.
function keyed(parent, items, key, templateId) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const pairs = items.map((item, index) => {
    const id = key(item);
    let element = known.get(id);
    if (!element) {
      element = document.getElementById(templateId).content.firstElementChild.cloneNode(true);
      element.dataset.key = id;
    }
    known.delete(id);
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
    return [element, item];
  });
  for (const gone of known.values()) gone.remove();
  return pairs;
}

function put(element, name, text) {
  const target = element.querySelector(`[data-${name}]`);
  if (target.textContent !== text) target.textContent = text;
  return target;
}

export class Pools {
  constructor(root, { texts, backend }) {
    this.pools = root.querySelector("[data-pools]");
    this.events = root.querySelector("[data-events]");
    this.texts = texts;
    this.backendUrl = (id) => backend.replace("BACKEND", encodeURIComponent(id));
  }

  show(snapshot) {
    const names = Object.keys(snapshot.pool);
    for (const [element, name] of keyed(this.pools, names, (each) => each, "pool-template")) {
      this.showPool(element, name, snapshot.pool[name], snapshot.backends.filter((backend) => backend.pool === name));
    }
    this.showEvents(snapshot.cooldown_events, new Date(snapshot.timestamp));
  }

  showPool(element, name, pool, backends) {
    const { texts } = this;
    put(element, "name", name);
    put(element, "caption", name);
    put(element, "strategy", texts[pool.strategy] ?? pool.strategy);
    const health = pool.enabled ? fill(texts.healthyOf, pool) : pool.total ? texts.allDisabled : "";
    put(element, "health", health);
    element.querySelector("[data-empty]").hidden = backends.length > 0;
    element.querySelector("[data-table]").hidden = backends.length === 0;
    const body = element.querySelector("[data-backends]");
    for (const [row, backend] of keyed(body, backends, (each) => each.id, "backend-template")) this.showBackend(row, backend);
  }

  showBackend(row, backend) {
    const { texts } = this;
    row.dataset.status = backend.status;
    put(row, "name", backend.name).href = this.backendUrl(backend.id);
    put(row, "label", [backend.label, fill(texts.models, { count: number(backend.model_count) })].filter(Boolean).join(" · "));
    const chip = row.querySelector("[data-status]");
    chip.dataset.status = backend.status;
    put(row, "icon", ICONS[backend.status]);
    put(row, "word", texts[backend.status]);
    put(row, "reason", this.reason(backend));
    this.showUse(row, backend);
    const inFlight = backend.in_flight === null ? NONE : number(backend.in_flight);
    put(row, "inflight", backend.max_concurrency ? `${inFlight} / ${number(backend.max_concurrency)}` : inFlight);
    put(row, "success", percent(backend.health?.success_rate_5m));
    put(row, "minute", number(backend.last_minute?.requests));
    put(row, "latency", milliseconds(backend.health?.last_latency_ms));
  }

  reason(backend) {
    const { texts } = this;
    if (backend.status === "cooling") {
      const count = backend.consecutive_429_count;
      const back = fill(texts.coolingFor, { time: duration(Math.ceil(backend.cooling_seconds)) });
      return count > 1 ? `${back} · ${fill(texts.count429, { count: number(count) })}` : back;
    }
    if (backend.status === "error") return texts[ERRORS[backend.error_kind]] ?? backend.error_reason;
    if (backend.status === "disabled") return "";
    if (backend.half_open) return texts.halfOpen;
    return texts[{ degraded: "degraded", down: "down" }[backend.health?.state]] ?? "";
  }

  showUse(row, backend) {
    const limiter = backend.rate_limiter;
    const meter = row.querySelector("[data-meter]");
    meter.hidden = !limiter?.capacity;
    if (!limiter) return put(row, "use", backend.rpm_limit ? `– / ${number(backend.rpm_limit)}` : this.texts.unlimited);
    if (meter.hidden) return put(row, "use", this.texts.unlimited);
    const used = Math.round(limiter.capacity - limiter.tokens);
    const capacity = Math.round(limiter.capacity);
    meter.setAttribute("aria-label", fill(this.texts.rpmUse, { name: backend.name }));
    meter.setAttribute("aria-valuenow", used);
    meter.setAttribute("aria-valuemax", capacity);
    meter.dataset.level = limiter.utilization > 0.9 ? "high" : limiter.utilization > 0.7 ? "middle" : "low";
    row.querySelector("[data-bar]").style.width = `${Math.min(100, limiter.utilization * 100)}%`;
    return put(row, "use", `${number(used)} / ${number(capacity)}`);
  }

  showEvents(events, now) {
    const { texts } = this;
    if (!events.length) {
      const nothing = document.createElement("li");
      nothing.className = "ah-empty";
      nothing.textContent = texts.noCooldowns;
      this.events.replaceChildren(nothing);
      return;
    }
    this.events.querySelector(".ah-empty")?.remove();
    for (const [element, event] of keyed(this.events, events, (each) => each.id, "event-template")) {
      const lasts = event.ended_at === null;
      const end = new Date(event.ended_at ?? event.until);
      const length = duration((end - new Date(event.started_at)) / 1000);
      element.querySelector("[data-chip]").dataset.status = lasts ? "cooling" : "disabled";
      put(element, "length", lasts ? fill(texts.lasts, { length }) : length);
      put(element, "name", event.backend_name || event.backend_id).href = this.backendUrl(event.backend_id);
      put(element, "reason", texts[event.reason] ?? event.reason);
      put(element, "count", event.consecutive_count > 1 ? fill(texts.count429, { count: number(event.consecutive_count) }) : "");
      const when = put(element, "when", fill(texts.ago, { age: duration((now - new Date(event.started_at)) / 1000) }));
      when.dateTime = event.started_at;
      when.title = moment(event.started_at);
    }
  }
}
