/** A whole topology, up and down: namespaces, both daemons of every stack, a test server in every service. */
import { installBundles, startDaemon } from './daemons.ts';
import { claim, processFolder, refuseWhenBusy, removeFiles } from './folders.ts';
import { createNamespaces, deleteNamespaces, existingNamespaces, inside } from './namespaces.ts';
import { type Endpoint, startServers } from './paths.ts';
import { endProcesses } from './processes.ts';
import { checkTopology, ROLES, serviceNamespace, stackAddresses, type Topology } from './topology.ts';

/** Ctrl-C on a terminal reaches the commands that clean up, too; so they are repeated. */
const DOWN_ROUNDS = 3;

/** The services of a topology. */
export function endpoints(topology: Topology): Endpoint[] {
  return topology.stacks.map((stack) => ({
    stack: stack.name,
    host: stack.host,
    address: stackAddresses(stack).service,
    enter: inside(serviceNamespace(topology, stack), []),
  }));
}

export async function startDaemons(topology: Topology, signal?: AbortSignal): Promise<void> {
  await installBundles(topology.prefix);
  for (const stack of topology.stacks) {
    for (const role of ROLES) {
      signal?.throwIfAborted();
      await startDaemon(topology, stack, role);
    }
  }
}

/**
 * Ends what was started under a prefix and removes what was made, whoever did it and however far they came.
 * @throws Error when another process is at work on it, or something cannot be removed.
 */
export async function down(prefix: string, { keepLogs = false } = {}): Promise<void> {
  refuseWhenBusy(prefix);
  await endProcesses(processFolder(prefix));
  for (let round = 0; round < DOWN_ROUNDS; round += 1) {
    await deleteNamespaces(prefix);
    if ((await existingNamespaces(prefix)).length === 0) break;
  }
  const left = await existingNamespaces(prefix);
  removeFiles(prefix, keepLogs);
  if (left.length > 0) throw new Error(`could not be removed: ${left.join(', ')}; try: ip netns delete ${left[0]}`);
}

/**
 * Builds a topology from nothing, after removing what an earlier run left under its prefix. Daemons are started, not awaited: see
 * `untilReady`. Nothing is left when it throws. Needs root, iproute2, nftables and the bundles of `npm run build`.
 */
export async function up(topology: Topology, signal?: AbortSignal): Promise<Endpoint[]> {
  checkTopology(topology);
  const { prefix } = topology;
  claim(prefix);
  try {
    await down(prefix);
    claim(prefix);
    await createNamespaces(topology, signal);
    await startDaemons(topology, signal);
    await startServers(prefix, endpoints(topology), signal);
    return endpoints(topology);
  } catch (cause) {
    await down(prefix);
    throw cause;
  }
}
