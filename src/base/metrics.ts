/** Numbers for monitoring: how a room tells them, and their text. Names have dots; the code that shows them puts a name of its own before them. */

/** What every metric has. */
interface MetricName {
  /** Parts with dots between: `object_store.request_count`. */
  readonly name: string;
  readonly help: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A count that only grows, or a state of now. */
export interface NumberMetric extends MetricName {
  readonly kind: "counter" | "gauge";
  readonly value: number;
}

/** How values were distributed. */
export interface HistogramMetric extends MetricName {
  readonly kind: "histogram";
  readonly count: number;
  readonly sum: number;
  /** How many values were at most `le`, ascending. The last is all: its `le` is Infinity. */
  readonly buckets: readonly { readonly le: number; readonly count: number }[];
}

/** One number with its labels, or one distribution. */
export type Metric = NumberMetric | HistogramMetric;

/** The metrics in Prometheus' text format, each name with `prefix` before it. Counters end in `_total`. */
export function prometheusText(metrics: readonly Metric[], prefix = "pumice_lsm_"): string {
  const families = new Map<string, string[]>();
  for (const metric of metrics) {
    const base = prefix + metric.name.replaceAll(/[^a-zA-Z0-9_]/g, "_");
    const name = metric.kind === "counter" ? `${base}_total` : base;
    let lines = families.get(name);
    if (lines === undefined) families.set(name, (lines = [`# HELP ${name} ${escapeHelp(metric.help)}`, `# TYPE ${name} ${metric.kind}`]));
    lines.push(...samplesOf(name, metric));
  }
  return [...families.values()].flat().join("\n") + (families.size > 0 ? "\n" : "");
}

function samplesOf(name: string, metric: Metric): string[] {
  if (metric.kind !== "histogram") return [`${name}${labelText(metric.labels)} ${metric.value}`];
  const buckets = metric.buckets.map(({ le, count }) => {
    const labels = { ...metric.labels, le: le === Infinity ? "+Inf" : String(le) };
    return `${name}_bucket${labelText(labels)} ${count}`;
  });
  const labels = labelText(metric.labels);
  return [...buckets, `${name}_sum${labels} ${metric.sum}`, `${name}_count${labels} ${metric.count}`];
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeHelp(value).replaceAll('"', '\\"')}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
