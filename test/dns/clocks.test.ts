/** Clocks that are off by ten minutes: said clearly, and no peer is lost or wrong by it. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { type Stack, until } from '../conformance/lab.ts';
import { inPrivateNetwork } from '../conformance/network.ts';
import { Bind, DOMAIN } from './bind.ts';
import { type Changes, ids, PEER_TIMEOUT_MS, SERVICE, SOON_MS, says, sees, stack, wrongClock } from './sources.ts';

const TEN_MINUTES = 600;
let bind: Bind;
const running = new Set<Stack>();
await inPrivateNetwork(import.meta.url);
before(async () => {
  bind = await Bind.start();
});
afterEach(async () => {
  await Promise.all([...running].map(({ source }) => source.stop()));
  running.clear();
});
after(() => bind.close());

function run(n: number, changes: Changes = {}): Stack {
  const made = stack(n, bind, changes).publish().start();
  running.add(made);
  return made;
}

/** Watches for two lifetimes that the viewer keeps exactly these peers. */
async function keeps(viewer: Stack, wanted: string): Promise<void> {
  const seen = new Set<string>();
  const end = performance.now() + 2 * PEER_TIMEOUT_MS;
  await until(
    () => seen.add(ids(viewer)) && performance.now() > end,
    3 * PEER_TIMEOUT_MS,
    'time passes',
    () => '',
  );
  assert.deepEqual([...seen], [wanted]);
}

for (const [ahead, side] of [
  [TEN_MINUTES, 'ahead of'],
  [-TEN_MINUTES, 'behind'],
] as const) {
  test(`a stack whose clock is ten minutes ${side} the server's is told so, and sees the others without a break`, async () => {
    const good = run(1);
    const wrong = run(2, { clock: wrongClock(ahead) });
    await until(
      () => new RegExp(`10 min ${side} its own \\(BADTIME.*NTP`).test(wrong.trouble ?? ''),
      SOON_MS,
      'told',
      () => wrong.events,
    );
    await sees(wrong, 'stack-1');
    await keeps(wrong, 'stack-1');
    assert.equal(ids(good), '', 'a stack that the server refuses is not listed');
  });

  test(`a reader whose clock is ten minutes ${side} the others' sees the living, not the dead, and is told`, async () => {
    const now = Math.floor(Date.now() / 1000);
    const entry = (id: string, lease: string) => [
      `update add ${SERVICE} 5 PTR ${id}.${SERVICE}.`,
      `update add ${id}.${SERVICE} 5 SRV 0 0 4789 ns.${DOMAIN}.`,
      `update add ${id}.${SERVICE} 5 TXT "txtvers=1" "vni=1000" "inst=00000000000000ff" "since=a" "boot=a" "seq=1" ${lease}`,
    ];
    bind.nsupdate([
      ...entry('long-dead', `"lease=3" "until=${now - 86_400}" "n=1"`),
      ...entry('just-dead', `"lease=3" "until=${now - 60}" "n=1"`),
    ]);
    const living = run(1);
    await until(
      () => living.works === true,
      SOON_MS,
      'listed',
      () => living.events,
    );
    const reader = run(2, { key: false, clock: wrongClock(ahead) });
    await sees(reader, 'stack-1');
    await keeps(reader, 'stack-1');
    const told = new RegExp(`this host's clock is 10 min ${side} that of stack stack-1.*NTP`);
    await says(reader, told);
    assert.equal(reader.works, true);
  });
}

test('four minutes, which the signature allows, are made good by the clock of the server', async () => {
  const [fast, slow] = [run(1, { clock: wrongClock(240) }), run(2, { clock: wrongClock(-240) })];
  await sees(fast, 'stack-2');
  await sees(slow, 'stack-1');
  const end = /"until=(\d+)"/.exec(bind.dig('TXT', `stack-1.${SERVICE}`))![1];
  assert.ok(Math.abs(Number(end) - Date.now() / 1000) < 10, 'the lease is written by the clock of the server');
  // A newcomer accepts both at its first look, which it would not with leases that end minutes away.
  const newcomer = run(3, { intervalMs: 60_000, peerTimeoutMs: 600_000 });
  await sees(newcomer, 'stack-1 stack-2');
  assert.equal(fast.works, true, fast.trouble);
});
