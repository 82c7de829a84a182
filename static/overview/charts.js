// The charts of usage, drawn by Chart.js, which the admin theme brings along. Each has a table with the same figures.

import { NONE, bucketTime, fill, milliseconds, number, usd } from "./format.js";

const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);

// What each chart shows: its lines or bars, the colour of each (a CSS variable), and how its values are written.
function kinds(texts) {
  return {
    requests: {
      type: "bar",
      write: number,
      parts: [
        [texts.answered, "--ah-blue", (point) => point.requests - point.errors],
        [texts.errors, "--ah-red", (point) => point.errors],
      ],
    },
    tokens: {
      type: "bar",
      write: number,
      parts: [
        [texts.prompt, "--ah-blue", (point) => point.prompt_tokens],
        [texts.completion, "--ah-teal", (point) => point.completion_tokens],
      ],
    },
    cost: { type: "bar", write: usd, parts: [[texts.cost, "--ah-violet", (point) => point.cost_usd && Number(point.cost_usd)]] },
    latency: {
      type: "line",
      write: milliseconds,
      parts: [
        [texts.latency, "--ah-blue", (point) => point.latency_ms],
        [texts.ttft, "--ah-orange", (point) => point.ttft_ms],
      ],
    },
  };
}

class UsageChart {
  constructor(figure, kind, texts) {
    this.figure = figure;
    this.kind = kind;
    this.texts = texts;
    this.canvas = figure.querySelector("canvas");
    this.details = figure.querySelector("details");
    this.answer = null;
    this.details.addEventListener("toggle", () => this.fillTable());
    this.chart = new Chart(this.canvas, { type: kind.type, data: { labels: [], datasets: [] }, options: this.options() });
  }

  options() {
    const write = (value) => this.kind.write(value);
    const stacked = this.kind.type === "bar";
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: { display: false },
        tooltip: { callbacks: { label: (item) => ` ${item.dataset.label}: ${write(item.raw)}` } },
      },
      scales: {
        x: { stacked, grid: { display: false }, border: { display: false }, ticks: { maxTicksLimit: 7, maxRotation: 0 } },
        y: { stacked, beginAtZero: true, border: { display: false }, ticks: { maxTicksLimit: 5, callback: write } },
      },
    };
  }

  show(answer) {
    this.answer = answer;
    const { parts, type } = this.kind;
    this.chart.data.labels = answer.points.map((point) => bucketTime(point.at, answer.span));
    this.chart.data.datasets = parts.map(([label, colour, value]) => ({
      label,
      colour,
      data: answer.points.map(value),
      ...(type === "line"
        ? { borderWidth: 2, pointRadius: answer.points.length > 60 ? 0 : 2, tension: 0.3, spanGaps: true }
        : { borderRadius: 2, maxBarThickness: 24, categoryPercentage: 0.9, barPercentage: 0.9 }),
    }));
    const nothing = !this.chart.data.datasets.some((set) => set.data.some((value) => value > 0));
    this.figure.querySelector("[data-empty]").hidden = !nothing;
    this.canvas.setAttribute("aria-label", this.summary(nothing));
    this.paint();
    this.fillTable();
  }

  summary(nothing) {
    const { title } = this.figure.dataset;
    if (nothing) return `${title}: ${this.texts.chartEmpty}`;
    const columns = this.chart.data.datasets.map((set) => set.data);
    if (this.kind.type === "line") {
      const latest = columns[0].findLast((value) => value !== null);
      return fill(this.texts.chartMeans, { title, latest: this.kind.write(latest) });
    }
    const bars = columns[0].map((_, index) => sum(columns.map((column) => column[index])));
    return fill(this.texts.chartSummary, { title, total: this.kind.write(sum(bars)), most: this.kind.write(Math.max(...bars)) });
  }

  // Colours are those of the theme at this moment.
  paint() {
    const styles = getComputedStyle(this.figure);
    const colour = (name) => styles.getPropertyValue(name).trim();
    for (const set of this.chart.data.datasets) {
      set.borderColor = set.backgroundColor = set.pointBackgroundColor = colour(set.colour);
    }
    const { x, y } = this.chart.options.scales;
    x.ticks.color = y.ticks.color = colour("--ah-subtle");
    y.grid = { color: colour("--ah-grid") };
    this.chart.update("none");
    this.figure.querySelector("[data-legend]").replaceChildren(
      ...this.chart.data.datasets.map((set) => {
        const entry = document.createElement("span");
        entry.textContent = set.label;
        entry.style.setProperty("--ah-colour", `var(${set.colour})`);
        return entry;
      }),
    );
  }

  fillTable() {
    if (!this.details.open || !this.answer) return;
    const cell = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
    const { labels, datasets } = this.chart.data;
    const heads = [this.texts.time, ...datasets.map((set) => set.label)].map((text) => cell("th", text));
    for (const head of heads) head.scope = "col";
    this.figure.querySelector("[data-columns]").replaceChildren(...heads);
    const rows = labels.map((label, index) => {
      const row = document.createElement("tr");
      const values = datasets.map((set) => set.data[index]);
      row.append(cell("td", label), ...values.map((value) => cell("td", value === null ? NONE : this.kind.write(value))));
      return row;
    });
    this.figure.querySelector("[data-rows]").replaceChildren(...rows.reverse());
  }
}

export class Charts {
  constructor(root, texts) {
    const known = kinds(texts);
    this.charts = [...root.querySelectorAll("[data-chart]")].map((figure) => new UsageChart(figure, known[figure.dataset.chart], texts));
    new MutationObserver(() => this.charts.forEach((chart) => chart.paint())).observe(document.documentElement, {
      attributeFilter: ["class"],
    });
  }

  show(answer) {
    for (const chart of this.charts) chart.show(answer);
  }
}
