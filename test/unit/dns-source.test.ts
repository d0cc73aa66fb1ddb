/** The whole source against a server of the test's own, for what a real one does only now and then. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DecodedPacket } from 'dns-packet';
import type { DnsConfig } from '../../src/config/dns-config.ts';
import { DnsSource } from '../../src/sources/dns/dns.ts';
import type { SourceEvent } from '../../src/sources/source.ts';
import { Fake, reply } from '../support/fake-dns.ts';
import { record } from '../support/records.ts';

const SERVICE = '_docker-router._udp.docker.example';

/** A zone with static stacks, of which some cannot be read now. */
class Zone {
  readonly broken = new Set<string>();
  looks = 0;
  readonly #stacks: readonly string[];

  constructor(...stacks: string[]) {
    this.#stacks = stacks;
  }

  answer(query: DecodedPacket): Buffer[] {
    const { name, type } = query.questions[0]!;
    if (type === 'PTR') {
      this.looks += 1;
      return [
        reply(
          query,
          this.#stacks.map((stack) => `${stack}.${SERVICE}`),
        ),
      ];
    }
    const stack = name.split('.')[0]!;
    if (this.broken.has(stack)) return [reply(query, [], { flags: 0x0402 })];
    if (type === 'TXT') return [reply(query, [], { answers: [{ name, type, ttl: 1, data: ['vni=1000'] }] })];
    const srv = { priority: 0, weight: 0, port: 4789, target: `${stack}.docker.example` };
    const address = { name: srv.target, type: 'A', ttl: 1, data: '10.0.0.1' };
    return [reply(query, [], { answers: [{ name, type: 'SRV', ttl: 1, data: srv }], additionals: [address] })];
  }
}

async function until(holds: () => boolean, events: readonly SourceEvent[]): Promise<void> {
  const end = performance.now() + 15_000;
  while (!holds()) {
    if (performance.now() > end) assert.fail(JSON.stringify(events.slice(-4)));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const lastSnapshot = (events: readonly SourceEvent[]) =>
  events
    .findLast((event) => event.type === 'snapshot')
    ?.records.map(({ stack_id }) => stack_id)
    .sort();

function start(changes: Partial<DnsConfig>): { source: DnsSource; events: SourceEvent[] } {
  const config = {
    domain: 'docker.example',
    servers: [],
    update: undefined,
    ttlSeconds: 1,
    intervalMs: 200,
    ...changes,
  };
  const source = new DnsSource(config, 60_000);
  const events: SourceEvent[] = [];
  source.publish(record(1));
  source.start((event) => events.push(event));
  return { source, events };
}

test('an entry that cannot be read for a while stays as it was, and the others are not held up', async () => {
  const zone = new Zone('a', 'b');
  const fake = await Fake.start((query) => zone.answer(query));
  const { source, events } = start({ servers: [fake.server] });
  try {
    await until(() => lastSnapshot(events)?.length === 2, events);
    zone.broken.add('b');
    await until(() => events.some(({ type }) => type === 'dropped'), events);
    assert.match(JSON.stringify(events.find(({ type }) => type === 'dropped')), /b\._docker-router.*SERVFAIL/);
    const seen = zone.looks;
    await until(() => zone.looks > seen + 3, events);
    assert.deepEqual(lastSnapshot(events), ['a', 'b']);
    assert.equal(events.filter(({ type }) => type === 'dropped').length, 1, 'said once');
    zone.broken.delete('b');
    await until(() => zone.looks > seen + 6, events);
    zone.broken.add('b');
    await until(() => events.filter(({ type }) => type === 'dropped').length === 2, events);
  } finally {
    await source.stop();
    fake.close();
  }
});

test('when being listed fails while the zone can be read, no peer stays stale', async () => {
  const zone = new Zone('a');
  const fake = await Fake.start((query) => zone.answer(query));
  // Takes three seconds to be given up, after the first looks; the next look would come in a minute.
  const silent = await Fake.start(() => []);
  const key = { name: 'k', algorithm: 'hmac-sha256', secret: Buffer.alloc(32) } as const;
  const { source, events } = start({
    servers: [fake.server],
    update: { server: silent.server, key },
    intervalMs: 60_000,
  });
  try {
    await until(() => events.some((event) => event.type === 'state' && !event.ok), events);
    const after = events.slice(events.findLastIndex(({ type }) => type === 'state'));
    assert.deepEqual(lastSnapshot(after), ['a'], 'a snapshot follows, which ends the staleness');
    assert.match(JSON.stringify(after[0]), /no answer from/);
  } finally {
    await source.stop();
    fake.close();
    silent.close();
  }
});

test('stop ends at once what is under way, and says nothing more', async () => {
  const silent = await Fake.start(() => []);
  const { source, events } = start({ servers: [silent.server] });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const began = performance.now();
  await source.stop();
  assert.ok(performance.now() - began < 500);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(events, []);
  const asked = silent.asked.length;
  await new Promise((resolve) => setTimeout(resolve, 1200));
  assert.equal(silent.asked.length, asked, 'not asked again');
  silent.close();
});
