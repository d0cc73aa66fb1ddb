/** Kernel WireGuard on the host's underlay, inside a kernel that kernel.sh booted: every path between three stacks of two hosts. */
import { release } from 'node:os';
import { logTail } from '../../src/embedded/daemons.ts';
import { up } from '../../src/embedded/embedded.ts';
import { logOf } from '../../src/embedded/folders.ts';
import { measurePath, orderedPairs, type Path } from '../../src/embedded/paths.ts';
import { untilReady } from '../../src/embedded/readiness.ts';
import { hostNamespace, quickstartTopology, routerNamespace } from '../../src/embedded/topology.ts';
import { runOk } from '../../src/process/run.ts';

const PREFIX = 'enc';
const PATIENCE_MS = 120_000;
const say = (step: string, what: object = {}) => process.stdout.write(`${JSON.stringify({ step, ...what })}\n`);

/** The probe gives up after 6 s of silence, and an emulated processor that encrypts on both sides is silent for longer at times. */
async function carries(path: Path): Promise<boolean> {
  const deadline = performance.now() + PATIENCE_MS / 2;
  while (true) {
    const outcome = await measurePath(PREFIX, path);
    const result = outcome.ok ? { mbit: Math.round(outcome.bitsPerSecond / 1e6) } : { error: outcome.error };
    say('path', { from: path.from.stack, to: path.to.stack, ok: outcome.ok, ...result });
    if (outcome.ok || performance.now() > deadline) return outcome.ok;
  }
}

const topology = quickstartTopology(PREFIX, { ENCRYPTION: 'required' });
say('kernel', { release: release() });
const endpoints = await up(topology);
let paths = 0;
try {
  await untilReady(topology, { withinMs: PATIENCE_MS });
  for (const path of orderedPairs(endpoints)) if (await carries(path)) paths += 1;
  const [stack] = topology.stacks;
  const host = hostNamespace(topology, stack!.host);
  const router = routerNamespace(topology, stack!);
  const kind = await runOk(['ip', '-n', router, '-d', 'link', 'show', 'wg0']);
  const sockets = await runOk(['ip', 'netns', 'exec', host, 'cat', '/proc/net/udp']);
  // 51820 is CA6C, 4789 is 12B5: WireGuard's socket is in the host, and there is no VXLAN.
  say('result', {
    paths,
    kernel: /\bwireguard\b/.test(kind),
    wireguard: /:CA6C /.test(sockets),
    vxlan: /:12B5 /.test(sockets),
  });
  process.exitCode = paths === 6 ? 0 : 1;
} finally {
  if (paths !== 6)
    for (const name of topology.stacks.flatMap((stack) => [`${stack.name}-discovery`, `${stack.name}-router`]))
      say('log', { name, lines: logTail(logOf(PREFIX, name), 12) });
}
