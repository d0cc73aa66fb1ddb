/** Families -> Prometheus' text format 0.0.4, by prom-client. */
import Counter from 'prom-client/lib/counter.js';
import Gauge from 'prom-client/lib/gauge.js';
import Registry from 'prom-client/lib/registry.js';
import type { Family } from './family.ts';

export const CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

/** A registry for each scrape: a peer that left has no series any more, and the daemons keep no second copy of what they know. */
export async function exposition(
  families: readonly Family[],
  everywhere: Readonly<Record<string, string>>,
): Promise<string> {
  const registry = new Registry();
  registry.setDefaultLabels(everywhere);
  for (const { name, help, type, samples } of families) {
    if (samples.length === 0) continue;
    const labelNames = Object.keys(samples[0]!.labels ?? {});
    const settings = { name, help, labelNames, registers: [registry] };
    const metric = type === 'gauge' ? new Gauge(settings) : new Counter(settings);
    for (const { labels = {}, value } of samples) metric.inc(labels, value);
  }
  return registry.metrics();
}
