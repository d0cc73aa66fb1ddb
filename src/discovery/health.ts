/** What the health check of discovery says. Pure. */
import type { HealthStatus } from '../process/health.ts';
import type { DiscoveryFile, SourceState } from '../state/discovery-file.ts';

export interface HealthInput {
  readonly hostAddress: string | undefined;
  /** Why the last write of `discovery.json` failed. */
  readonly writeError: string | undefined;
  readonly states: ReadonlyMap<string, SourceState>;
  /** How many sources there are, those included that have not spoken yet. */
  readonly sources: number;
  /** `discovery.json` as it was last written. */
  readonly file: DiscoveryFile | undefined;
}

/** Undefined while discovery is still starting. */
export function healthOf(input: HealthInput): { status: HealthStatus; message: string } | undefined {
  const { hostAddress, writeError, states, sources, file } = input;
  const failing = [...states].filter(([, { state }]) => state === 'failing');
  const problems = [
    hostAddress === undefined && 'no default route, so the host address is unknown; set HOST_IP',
    writeError,
    ...failing.map(([name, { message }]) => `${name}: ${message}`),
    file?.self.reason,
  ].filter((text) => typeof text === 'string');
  if (problems.length > 0) return { status: 'unhealthy', message: problems.join('; ') };
  if (!file || states.size !== sources) return undefined;
  const accepted = file.peers.filter(({ status }) => status !== 'rejected');
  return { status: 'ok', message: `${accepted.length} peers` };
}
