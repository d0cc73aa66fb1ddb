/** As in the container: another user, no capability, a read-only root file system, and two folders to write in. Run `npm run build` before. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HOST_IP, inPrivateNetwork } from '../conformance/network.ts';
import { within } from '../support/hosts.ts';
import { gossipKey } from './serf.ts';

const USER = 10001;
const BUNDLE = fileURLToPath(new URL('../../discovery/dist', import.meta.url));
const KEY = gossipKey();

await inPrivateNetwork(import.meta.url);
const root = mkdtempSync('/run/docker-router-gossip-');
chmodSync(root, 0o755);
cpSync(BUNDLE, join(root, 'program'), { recursive: true });
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true });
});

/** The only folders that the daemon may write in: its volume, and a tmpfs. */
function folders(name: string): { state: string; run: string } {
  const [state, run] = [join(root, `${name}-state`), join(root, `${name}-run`)];
  for (const folder of [state, run]) {
    mkdirSync(folder);
    chownSync(folder, USER, USER);
  }
  return { state, run };
}

function start(name: string): { state: string; run: string; child: ChildProcess } {
  const { state, run } = folders(name);
  // A mount namespace of its own in which all is read-only but the two.
  const script = `for folder in '${state}' '${run}'; do mount --bind "$folder" "$folder"; done; mount -o remount,ro,bind / && mount -o remount,ro,bind /run 2>/dev/null
exec setpriv --reuid=${USER} --regid=${USER} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- '${process.execPath}' '${root}/program/docker-router-discovery.mjs'`;
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--mount', 'sh', '-c', script], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      PATH: process.env.PATH,
      STACK_ID: name,
      VNI: '1000',
      HOST_IP,
      DISCOVERY_MODE: 'gossip',
      GOSSIP_SEEDS: HOST_IP,
      GOSSIP_ENCRYPT_KEY: KEY,
      STATE_DIR: state,
      HEALTH_FILE: join(run, 'health'),
      LOG_LEVEL: 'error',
    },
  });
  children.push(child);
  return { state, run, child };
}

type Daemon = ReturnType<typeof start>;

function peers({ state }: Daemon): { stack_id: string }[] {
  try {
    return JSON.parse(readFileSync(join(state, 'discovery.json'), 'utf8')).peers;
  } catch {
    return [];
  }
}

test('two daemons without any right find each other, and write nowhere else', async () => {
  const [a, b] = [start('stack-a'), start('stack-b')];
  const met = () => peers(a)[0]?.stack_id === 'stack-b' && peers(b)[0]?.stack_id === 'stack-a';
  await within(20_000, 'they find each other', met);
  // Files that are being written have a name of their own for a moment.
  const written = (folder: string) =>
    readdirSync(folder)
      .filter((name) => !name.endsWith('.tmp'))
      .sort();
  assert.deepEqual(written(a.run), ['health', 'health.serf']);
  assert.deepEqual(
    written(a.state).filter((name) => name !== 'gossip.json'),
    ['discovery.json'],
  );
  const ended = new Promise((resolve) => a.child.once('exit', resolve));
  a.child.kill('SIGTERM');
  assert.equal(await ended, 0);
  await within(5000, 'the goodbye is heard', () => peers(b).length === 0);
  assert.deepEqual(written(a.run), ['health']);
});

test('a goodbye is heard although the host stands still in the middle of it', async () => {
  const [c, d] = [start('stack-c'), start('stack-d')];
  const knows = () => peers(d).some(({ stack_id }) => stack_id === 'stack-c');
  await within(
    20_000,
    'they find each other',
    () => knows() && peers(c).some(({ stack_id }) => stack_id === 'stack-d'),
  );
  const daemon = c.child.pid!;
  const both = [
    daemon,
    ...execFileSync('pgrep', ['-P', `${daemon}`], { encoding: 'utf8' })
      .trim()
      .split('\n')
      .map(Number),
  ];
  assert.equal(both.length, 2, 'the daemon and its Serf');
  c.child.kill('SIGTERM');
  await sleep(2);
  for (const pid of both) process.kill(pid, 'SIGSTOP');
  await sleep(1000);
  for (const pid of both) process.kill(pid, 'SIGCONT');
  await within(3000, 'the goodbye is heard', () => !knows());
});
