/** How large the images are when they travel. */
import { atMost, type Findings } from '../rows.ts';
import { ok } from './lab.ts';

export async function imageRows(): Promise<Findings> {
  const rows = [];
  for (const name of ['docker-router-discovery', 'docker-router']) {
    // Registries keep layers as gzip; its default level.
    const bytes = Number(await ok(1, 'sh', '-c', 'docker save "$1" | gzip | wc -c', 'sh', `${name}:latest`));
    rows.push({
      id: `data.image.${name}`,
      what: `image ${name}, compressed`,
      goal: atMost(90),
      value: bytes / 1e6,
      unit: 'MB',
    });
  }
  return { rows, series: [] };
}
