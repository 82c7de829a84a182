// The figures at the top, each with a line of the last hour (or, for what only this moment knows, of the last minutes).

import { duration, fill, milliseconds, number, percent, usd } from "./format.js";

const KEPT = 120;

export class Tiles {
  constructor(root, texts) {
    this.texts = texts;
    this.tiles = Object.fromEntries([...root.querySelectorAll("[data-tile]")].map((tile) => [tile.dataset.tile, tile]));
    this.history = { inflight: [], queue: [] };
  }

  show({ traffic, total }) {
    const { texts } = this;
    const requests = traffic.requests_per_minute;
    this.set("requests", number(requests), total && fill(texts.inAll, { value: number(total.total_requests) }));
    this.set(
      "errors",
      percent(traffic.error_rate),
      requests ? fill(texts.errorsOf, { errors: number(traffic.errors_per_minute), requests: number(requests) }) : texts.noRequests,
      traffic.error_rate > 0 ? "bad" : "",
    );
    this.set("tokens", number(traffic.tokens_per_minute), total && fill(texts.inAll, { value: number(total.total_tokens) }));
    this.set(
      "cost",
      usd(traffic.cost_today_usd),
      traffic.cost_today_usd === null ? texts.noPrice : total && fill(texts.inAll, { value: usd(total.total_cost) }),
    );
    this.setTimes("ttft", traffic.ttft_ms);
    this.setTimes("latency", traffic.latency_ms);
    this.set("inflight", number(traffic.in_flight), "");
    this.set(
      "queue",
      number(traffic.queue_depth),
      fill(texts.waitingOf, { most: number(traffic.queue_max_depth) }),
      traffic.queue_depth > 0 ? "warn" : "",
    );
    this.remember("inflight", traffic.in_flight);
    this.remember("queue", traffic.queue_depth);
  }

  showHour(hour) {
    // The running minute would look like a fall.
    const points = hour.slice(0, -1);
    this.draw("requests", points.map((point) => point.requests));
    this.draw("errors", points.map((point) => (point.requests ? point.errors / point.requests : 0)));
    this.draw("tokens", points.map((point) => point.prompt_tokens + point.completion_tokens));
    this.draw("cost", points.map((point) => Number(point.cost_usd ?? 0)));
    this.draw("ttft", points.map((point) => point.ttft_ms ?? 0));
    this.draw("latency", points.map((point) => point.latency_ms ?? 0));
  }

  set(name, value, detail, tone = "") {
    const tile = this.tiles[name];
    tile.querySelector("[data-value]").textContent = value;
    tile.querySelector("[data-detail]").textContent = detail || "\u00a0";
    tile.dataset.tone = tone;
  }

  setTimes(name, times) {
    const { p50, p95, p99 } = times ?? {};
    const detail = p50 == null ? this.texts.noRequests : fill(this.texts.percentiles, { p95: milliseconds(p95), p99: milliseconds(p99) });
    this.set(name, milliseconds(p50), detail);
  }

  remember(name, value) {
    const values = this.history[name];
    values.push(value);
    if (values.length > KEPT) values.shift();
    this.draw(name, values);
  }

  draw(name, values) {
    const [area, line] = this.tiles[name].querySelectorAll("path");
    const most = Math.max(...values);
    if (!(most > 0) || values.length < 2) {
      line.setAttribute("d", "M0 23H100");
      area.setAttribute("d", "");
      return;
    }
    const step = 100 / (values.length - 1);
    const steps = values.map((value, index) => `${(index * step).toFixed(2)} ${(23 - (value / most) * 21).toFixed(2)}`);
    line.setAttribute("d", `M${steps.join("L")}`);
    area.setAttribute("d", `M0 24L${steps.join("L")}L100 24Z`);
  }
}

export function showUptime(root, seconds) {
  root.querySelector("[data-uptime]").textContent = duration(seconds);
  root.querySelector("[data-uptime-part]").hidden = false;
}
