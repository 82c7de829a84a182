// Numbers with their units, in the language of the page.

const language = document.documentElement.lang || "en";
const formats = new Map();

function format(value, options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(language, options));
  return formats.get(key).format(value);
}

function unit(value, name, digits = 0) {
  return format(value, { style: "unit", unit: name, unitDisplay: "short", maximumFractionDigits: digits });
}

export const NONE = "–";

export function number(value) {
  if (value === null || value === undefined) return NONE;
  return value >= 100000 ? format(value, { notation: "compact", maximumFractionDigits: 1 }) : format(value, {});
}

export function percent(share) {
  if (share === null || share === undefined) return NONE;
  return format(share, { style: "percent", maximumFractionDigits: share > 0 && share < 1 ? 1 : 0 });
}

export function milliseconds(value) {
  if (value === null || value === undefined) return NONE;
  if (value < 1000) return unit(value, "millisecond", value < 10 ? 1 : 0);
  return value < 60000 ? unit(value / 1000, "second", 2) : duration(value / 1000);
}

export function usd(value) {
  if (value === null || value === undefined) return NONE;
  const amount = Number(value);
  const digits =
    Math.abs(amount) >= 1 || amount === 0
      ? { minimumFractionDigits: 2, maximumFractionDigits: 2 }
      : { minimumSignificantDigits: 2, maximumSignificantDigits: 3 };
  return format(amount, { style: "currency", currency: "USD", ...digits });
}

const PARTS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

// The two largest parts: "3 hr 4 min".
export function duration(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  const words = [];
  for (const [name, length] of PARTS) {
    const count = Math.floor(rest / length);
    if (count || (name === "second" && !words.length)) words.push(unit(count, name));
    rest -= count * length;
    if (words.length === 2) break;
  }
  return words.join(" ");
}

const TIMES = {
  "1h": { hour: "2-digit", minute: "2-digit" },
  "24h": { hour: "2-digit", minute: "2-digit" },
  "7d": { weekday: "short", hour: "2-digit", minute: "2-digit" },
  // Days are those of UTC, so they are not moved into the zone of who looks at them.
  "30d": { month: "short", day: "numeric", timeZone: "UTC" },
};

export function bucketTime(at, span) {
  return new Intl.DateTimeFormat(language, { hour12: false, ...TIMES[span] }).format(new Date(at));
}

export function moment(at) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", hour12: false }).format(
    new Date(at),
  );
}

// "{count} of {most}" with its names replaced.
export function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}
