/** Reads the files of the shared volume for whoever shows them. Hostile input, like everywhere. */
import { join } from 'node:path';
import type * as v from 'valibot';
import { parseJson } from '../record/record.ts';
import { parseDiscovery } from '../router/discovery-input.ts';
import { readCapped } from '../state/atomic-file.ts';
import { MAX_DISCOVERY_BYTES } from '../state/discovery-file.ts';
import { MAX_ROUTER_BYTES, RouterFileSchema } from '../state/router-file.ts';
import { MAX_STATUS_BYTES, StatusFileSchema } from '../state/status-file.ts';
import { type StatusView, statusView } from './view.ts';

async function optional<S extends v.GenericSchema>(
  path: string,
  schema: S,
  maxBytes: number,
): Promise<v.InferOutput<S> | undefined> {
  const text = await readCapped(path, maxBytes);
  if (text === undefined) return undefined;
  const parsed = parseJson(schema, text, maxBytes);
  if (!parsed.ok) throw new Error(`${path}: ${parsed.error}`);
  return parsed.value;
}

/** @throws Error in words when there is no discovery.json, or a file cannot be understood. */
export async function readStatus(stateDir: string): Promise<StatusView> {
  const path = join(stateDir, 'discovery.json');
  const text = await readCapped(path, MAX_DISCOVERY_BYTES);
  if (text === undefined) {
    throw new Error(`there is no ${path}: is the discovery service of this stack running with the same volume?`);
  }
  const parsed = parseDiscovery(text);
  if (!parsed.ok) throw new Error(`${path}: ${parsed.error}`);
  const { self, peers, sources = {} } = parsed.value;
  return statusView({
    self,
    peers,
    sources,
    router: await optional(join(stateDir, 'router.json'), RouterFileSchema, MAX_ROUTER_BYTES),
    measured: await optional(join(stateDir, 'status.json'), StatusFileSchema, MAX_STATUS_BYTES),
  });
}
