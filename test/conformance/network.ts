/** A network namespace of its own for a test file, so that no port, group or route of the machine is touched. */
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const HOST_IP = '10.99.0.1';
const INSIDE = 'DOCKER_ROUTER_TEST_NETWORK';

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

function setUp(): void {
  // So that what was registered for the exit (temporary folders) is done when a signal ends the run, too.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
  ip('link', 'set', 'lo', 'up');
  // A veth rather than a dummy, which not every kernel has. Its other end stays in this namespace without an address.
  ip('link', 'add', 'under0', 'type', 'veth', 'peer', 'name', 'under1');
  ip('address', 'add', `${HOST_IP}/24`, 'dev', 'under0');
  ip('link', 'set', 'under0', 'up');
  ip('link', 'set', 'under1', 'up');
  ip('route', 'add', 'default', 'via', '10.99.0.254');
}

/**
 * Runs the calling test file in a network namespace of its own, which has `lo` and an interface with HOST_IP and a default route.
 * Outside it starts the file again inside, hands its report through and ends this process; inside it returns. Needs root.
 */
export async function inPrivateNetwork(moduleUrl: string): Promise<void> {
  if (process.env[INSIDE] === moduleUrl) return setUp();
  // pdeathsig: however this process ends, the one inside ends too.
  const argv = [
    '--pdeathsig',
    'TERM',
    'unshare',
    '-n',
    process.execPath,
    ...process.execArgv,
    fileURLToPath(moduleUrl),
  ];
  const child = spawn('setpriv', argv, { stdio: 'inherit', env: { ...process.env, [INSIDE]: moduleUrl } });
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status) => resolve(status ?? 1));
  });
  process.exit(code);
}
