/** What both daemons say of themselves. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { HealthStatus } from '../process/health.ts';
import { counter, type Family, gauge } from './family.ts';

/** @param prefix first part of the names, such as `docker_router` */
export function selfFamilies(prefix: string, health: HealthStatus): Family[] {
  const version = process.env.DOCKER_ROUTER_VERSION ?? 'development';
  const labels = { version, node_version: process.version };
  return [
    gauge(`${prefix}_build_info`, 'Always 1; its labels say what runs.', [{ labels, value: 1 }]),
    gauge(`${prefix}_healthy`, "1 when the container's health check passes, otherwise 0.", health === 'ok' ? 1 : 0),
  ];
}

/** The usual names for every process, from the numbers that Node has at hand. */
export function processFamilies(): Family[] {
  const { user, system } = process.cpuUsage();
  return [
    counter('process_cpu_seconds_total', 'Processor time used, user and system.', (user + system) / 1e6),
    gauge('process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
    gauge('process_start_time_seconds', 'Start of the process, since 1970.', performance.timeOrigin / 1000),
  ];
}

/** When each of the files in the shared volume was written last; a file that is missing has no series. */
export async function fileFamily(prefix: string, stateDir: string, files: readonly string[]): Promise<Family> {
  const samples = await Promise.all(
    files.map(async (file) => {
      const found = await stat(join(stateDir, file)).catch(() => undefined);
      return found ? [{ labels: { file }, value: found.mtimeMs / 1000 }] : [];
    }),
  );
  const help = 'Last write of a file in the shared volume, since 1970.';
  return gauge(`${prefix}_file_last_write_timestamp_seconds`, help, samples.flat());
}
