/** Packets of the routers themselves: to the router of another host, and of the same one, with TCP. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { down, up } from '../../src/embedded/embedded.ts';
import { inside } from '../../src/embedded/namespaces.ts';
import { untilReady } from '../../src/embedded/readiness.ts';
import { quickstartTopology, routerNamespace, type Stack, stackAddresses } from '../../src/embedded/topology.ts';
import { type Result, run, runOk } from '../../src/process/run.ts';
import { whenInterrupted } from '../support/interrupted.ts';

const TOPOLOGY = quickstartTopology(`qo${process.pid}`);
const BYTES = 20_000_000;
const inRouter = (stack: Stack, argv: readonly string[]) => inside(routerNamespace(TOPOLOGY, stack), argv);

/** As in a container: Docker's own nat rules make conntrack look at every packet. */
const CONNTRACK = `table ip nat {
  chain output { type nat hook output priority -100; ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40000
  }
}
`;
/** rp_filter=1, as some distributions have it: a packet must come in where an answer would go out. */
async function likeAContainer(stack: Stack): Promise<void> {
  await runOk(inRouter(stack, ['nft', '-f', '-']), CONNTRACK);
  await runOk(inRouter(stack, ['sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1']));
}

const SINK = `require('net').createServer((c) => { let n = 0; c.on('data', (d) => (n += d.length)); c.on('end', () => c.end(n + '\\n')); c.on('error', () => c.destroy()); })
  .listen(9000, '0.0.0.0', () => console.log('listening'))`;
const source = (
  address: string,
) => `const s = require('net').connect({ host: '${address}', port: 9000, timeout: 8000 }, () => s.end(Buffer.alloc(${BYTES})));
  s.on('timeout', () => { console.error('no answer'); process.exit(1); }); s.on('error', (e) => { console.error(e.message); process.exit(1); }); s.pipe(process.stdout)`;

/** Starts the sink in a router. Returns what ends it. */
async function sink(stack: Stack): Promise<() => void> {
  const [program, ...args] = inRouter(stack, [process.execPath, '-e', SINK]);
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return () => void child.kill('SIGKILL');
}

const send = (from: Stack, to: Stack): Promise<Result> =>
  run(inRouter(from, [process.execPath, '-e', source(stackAddresses(to).gateway)]), '', 30_000);

before(async () => {
  await up(TOPOLOGY);
  await untilReady(TOPOLOGY, { withinMs: 90_000 });
  await Promise.all(TOPOLOGY.stacks.map(likeAContainer));
});
const remove = () => down(TOPOLOGY.prefix);
after(remove);
whenInterrupted(remove);

test('every router has 20 MB of TCP to every other one, also on its own host', async () => {
  for (const to of TOPOLOGY.stacks) {
    const end = await sink(to);
    for (const from of TOPOLOGY.stacks) {
      if (from === to) continue;
      const { stdout, stderr } = await send(from, to);
      assert.equal(stdout.trim(), String(BYTES), `${from.name} -> ${to.name}: ${stderr}`);
    }
    end();
  }
});

test('a datagram that must be fragmented arrives', async () => {
  const [a, b, c] = TOPOLOGY.stacks as [Stack, Stack, Stack];
  for (const to of [b, c]) {
    const ping = await run(inRouter(a, ['ping', '-c', '1', '-W', '3', '-s', '4000', stackAddresses(to).gateway]));
    assert.match(ping.stdout, / 0% packet loss/, to.name);
  }
});

test('the mark stays in the namespace, and without the pair the gap is back on one host: this is what closes it', async () => {
  const [a, , c] = TOPOLOGY.stacks as [Stack, Stack, Stack];
  const end = await sink(c);
  await runOk(
    inRouter(c, ['nft', '-f', '-']),
    'table ip seen {\n chain input { type filter hook input priority 0; meta mark != 0 counter\n }\n}\n',
  );
  assert.equal((await send(a, c)).stdout.trim(), String(BYTES));
  assert.match(await runOk(inRouter(c, ['nft', 'list', 'table', 'ip', 'seen'])), /packets 0 bytes 0/);
  await runOk(inRouter(a, ['ip', 'rule', 'del', 'pref', '157']));
  assert.notEqual((await send(a, c)).code, 0);
  end();
});
