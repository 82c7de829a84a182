// The stream of the dashboard: kept open while the page is looked at, and opened again when it breaks.

const LONGEST_PAUSE_MS = 15000;

export class Live {
  // onSnapshot(event) for every update; onState("connecting" | "live" | "stale" | "signed-out").
  constructor(url, { onSnapshot, onState }) {
    this.url = url;
    this.onSnapshot = onSnapshot;
    this.onState = onState;
    this.arrivedAt = null; // of the newest update, by the clock of performance.now()
    this.intervalSeconds = 1;
    this.pauseMs = 500;
    this.source = null;
    this.timer = null;
    // A browser allows few connections to one host: a page that nobody looks at must not hold one.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    window.addEventListener("pagehide", () => this.close());
    window.addEventListener("pageshow", () => this.open());
    setInterval(() => this.checkAge(), 1000);
  }

  open() {
    if (this.source || document.hidden) return;
    clearTimeout(this.timer);
    this.source = new EventSource(this.url);
    this.source.onmessage = (message) => this.arrived(JSON.parse(message.data));
    this.source.onerror = () => this.broke();
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  ageSeconds() {
    return this.arrivedAt === null ? 0 : (performance.now() - this.arrivedAt) / 1000;
  }

  arrived(snapshot) {
    this.arrivedAt = performance.now();
    this.intervalSeconds = snapshot.interval_seconds;
    this.pauseMs = 500;
    this.onState("live");
    this.onSnapshot(snapshot);
  }

  broke() {
    this.onState("stale");
    // In any other state the browser itself connects again.
    if (this.source?.readyState !== EventSource.CLOSED) return;
    this.close();
    this.timer = setTimeout(() => this.again(), this.pauseMs);
    this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
  }

  // The stream was refused, and an EventSource does not say why: a plain request does.
  async again() {
    const refusal = new AbortController();
    try {
      const answer = await fetch(this.url, { signal: refusal.signal });
      if (answer.status === 401 || answer.status === 403) {
        this.onState("signed-out");
        return;
      }
    } catch {
      // The hub is away; the next try shows when it is back.
    } finally {
      refusal.abort();
    }
    this.open();
  }

  checkAge() {
    if (this.arrivedAt !== null && !document.hidden && this.ageSeconds() > 3 * this.intervalSeconds + 2) {
      this.onState("stale");
    }
  }
}
