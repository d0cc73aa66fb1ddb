/** What the kernel must be able to do, tried out before anything is built, so that what is missing can be named. */
import { run } from '../process/run.ts';
import { inside, switchForwardingOn } from './namespaces.ts';

interface Ability {
  readonly name: string;
  readonly remedy: string;
  /** An `ip` command inside the namespace of the trial. */
  readonly ip: string;
}

const DEVICES: readonly Ability[] = [
  { name: 'veth pairs', remedy: 'modprobe veth', ip: 'link add trial0 type veth peer name trial1' },
  { name: 'bridges', remedy: 'modprobe bridge', ip: 'link add trial2 type bridge' },
  { name: 'VXLAN devices', remedy: 'modprobe vxlan', ip: 'link add trial3 type vxlan id 1 dstport 4789 nolearning' },
];

/** What the router's own ruleset stands on: a chain at a device's ingress. `--check` goes through the kernel and changes nothing. */
const RULESET = 'table netdev trial {\n chain c { type filter hook ingress device "lo" priority filter; }\n}\n';

const UNPRIVILEGED = 'in a container, run it with: docker run --privileged';
const firstWords = (stderr: string) => stderr.trim().split('\n')[0] || 'failed';

async function devicesMissing(namespace: string): Promise<string[]> {
  const missing: string[] = [];
  for (const { name, remedy, ip } of DEVICES) {
    const { code, stderr } = await run(['ip', '-n', namespace, ...ip.split(' ')]);
    if (code !== 0) missing.push(`${name}: ${firstWords(stderr)} (try: ${remedy})`);
  }
  return missing;
}

async function rulesetMissing(namespace: string): Promise<string[]> {
  const { code, stderr } = await run(inside(namespace, ['nft', '--check', '-f', '-']), RULESET);
  return code === 0 ? [] : [`nftables at a device's ingress: ${firstWords(stderr)} (try: modprobe nf_tables)`];
}

async function forwardingMissing(namespace: string): Promise<string[]> {
  return switchForwardingOn(namespace).then(
    () => [],
    (cause: Error) => [`IPv4 forwarding: ${cause.message} (${UNPRIVILEGED})`],
  );
}

/** What is missing, in words; empty when the machine can do it all. */
export async function missingAbilities(prefix: string): Promise<string[]> {
  const namespace = `${prefix}-trial`;
  await run(['ip', 'netns', 'delete', namespace]);
  const made = await run(['ip', 'netns', 'add', namespace]);
  if (made.code !== 0) return [`network namespaces: ${firstWords(made.stderr)} (${UNPRIVILEGED})`];
  try {
    const entered = await run(inside(namespace, ['true']));
    if (entered.code !== 0) return [`entering network namespaces: ${firstWords(entered.stderr)} (${UNPRIVILEGED})`];
    return [
      ...(await devicesMissing(namespace)),
      ...(await rulesetMissing(namespace)),
      ...(await forwardingMissing(namespace)),
    ];
  } finally {
    await run(['ip', 'netns', 'delete', namespace]);
  }
}
