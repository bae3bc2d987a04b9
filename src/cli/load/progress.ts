/** How a long task shows itself: a bar with rate and time left on a terminal, a plain line now and then elsewhere. */

/** Where the lines go: process.stderr, or a test's ear. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const BAR_WIDTH = 20;
const TERMINAL_INTERVAL_MS = 100;
const PLAIN_INTERVAL_MS = 5000;

/** One task from 0 to a known total. */
export class Progress {
  readonly #output: ProgressOutput;
  readonly #label: string;
  readonly #unit: "bytes" | "records";
  readonly #total: number;
  readonly #start: number;
  #done: number;
  readonly #startedMs = performance.now();
  #shownMs = 0;
  #isShown = false;

  /** `start`: what was done before, which does not count for the rate. */
  constructor(
    output: ProgressOutput,
    task: { readonly label: string; readonly unit: "bytes" | "records"; readonly total: number; readonly start: number },
  ) {
    this.#output = output;
    this.#label = task.label;
    this.#unit = task.unit;
    this.#total = task.total;
    this.#start = task.start;
    this.#done = task.start;
    this.#shownMs = this.#startedMs;
  }

  /** Says that `done` of the total are done; shows it if it is time. */
  update(done: number): void {
    this.#done = done;
    const now = performance.now();
    if (now - this.#shownMs < (this.#output.isTTY === true ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS)) return;
    this.#shownMs = now;
    this.#show();
  }

  /** Says something else, above the bar. */
  say(text: string): void {
    this.#clear();
    this.#output.write(`${text}\n`);
    if (this.#isShown && this.#output.isTTY === true) this.#show();
  }

  /** Takes the bar away. */
  end(): void {
    this.#clear();
    this.#isShown = false;
  }

  #show(): void {
    if (this.#output.isTTY !== true) {
      this.#output.write(`${this.#line("")}\n`);
      return;
    }
    this.#isShown = true;
    const share = this.#total === 0 ? 1 : this.#done / this.#total;
    const filled = Math.round(share * BAR_WIDTH);
    const bar = `[${"=".repeat(filled)}${" ".repeat(BAR_WIDTH - filled)}] `;
    this.#output.write(`\r\u001B[K${this.#line(bar).slice(0, (this.#output.columns ?? 80) - 1)}`);
  }

  #clear(): void {
    if (this.#isShown && this.#output.isTTY === true) this.#output.write("\r\u001B[K");
  }

  #line(bar: string): string {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const rate = seconds > 0 ? (this.#done - this.#start) / seconds : 0;
    const percent = this.#total === 0 ? 100 : Math.floor((this.#done / this.#total) * 100);
    const left = rate > 0 ? `, ${formatSeconds((this.#total - this.#done) / rate)} left` : "";
    return `${this.#label} ${bar}${percent}% ${formatAmount(this.#done, this.#unit)}, ${formatAmount(rate, this.#unit).replace(" records", "")}/s${left}`;
  }
}

function formatAmount(amount: number, unit: "bytes" | "records"): string {
  return unit === "records" ? `${formatCount(amount)} records` : `${(amount / 2 ** 20).toFixed(1)} MiB`;
}

/** A count with commas between thousands, without a fraction. */
export function formatCount(count: number): string {
  return Math.round(count)
    .toString()
    .replaceAll(/\B(?=(?:\d{3})+$)/g, ",");
}

/** `42 s`, `3 min 5 s`, `2 h 4 min`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
