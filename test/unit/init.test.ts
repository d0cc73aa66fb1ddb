/** docker-router init on compose files of many shapes, without an engine: which network, which services, which file. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { decide, type Found } from '../../src/cli/init/decide.ts';
import { findFiles } from '../../src/cli/init/find-files.ts';
import { loadProject } from '../../src/cli/init/load-project.ts';
import { isEdited, isOurs } from '../../src/cli/init/mark.ts';
import { readOptions } from '../../src/cli/init/options.ts';
import { overrideText, previousSubnet } from '../../src/cli/init/override.ts';
import { takenBy } from '../../src/cli/init/surroundings.ts';
import { template } from '../../src/cli/init/template.ts';
import { contains, overlaps, parseIpv4, parsePrefix } from '../../src/net/ipv4.ts';
import { FIXTURES, REFUSED, SHAPES } from '../support/init-fixtures.ts';
import { record } from '../support/records.ts';

const NOTHING: Found = { host: [], stacks: [], heard: [], mtu: 1500, nameServers: ['192.0.2.53'] };

async function project(name: string, args: readonly string[] = []) {
  const folder = join(FIXTURES, name);
  const options = readOptions([...args])!;
  const files = await findFiles({ folder, named: options.files, env: {} });
  const { project: loaded, notes } = await loadProject(files.files, files.env, name);
  return { files, options, loaded, notes };
}

async function decided(name: string, args: readonly string[] = [], found: Partial<Found> = {}) {
  const { loaded, options } = await project(name, args);
  return decide(loaded, options, { ...NOTHING, ...found });
}

describe('shapes', () => {
  for (const shape of SHAPES)
    test(shape.name, async () => {
      const { files, options, loaded, notes } = await project(shape.name, shape.args);
      const { choice, override, stackId } = decide(loaded, options, NOTHING);
      assert.deepEqual(notes, []);
      assert.equal(loaded.name, shape.project);
      assert.equal(stackId, shape.stackId ?? shape.project);
      assert.equal(choice.key, shape.network);
      assert.equal(files.target, join(FIXTURES, shape.name, shape.target));
      assert.equal(files.automatic, shape.files === undefined);
      const connected = choice.members.filter(({ why }) => why === undefined).map(({ service }) => service);
      assert.deepEqual(connected.sort(), [...shape.connected].sort());
      for (const [service, why] of Object.entries(shape.left ?? {}))
        assert.match(choice.members.find((member) => member.service === service)?.why ?? '', why);
      const written = parse(overrideText(template(), override));
      const names = shape.names ?? { discovery: 'discovery', router: 'router', volume: 'docker-router' };
      assert.ok(written.services[names.discovery] && written.services[names.router] && names.volume in written.volumes);
      assert.equal(
        previousSubnet(overrideText(template(), override)),
        shape.name === 'prepared' ? undefined : override.subnet,
      );
    });
});

describe('refusals name the remedy', () => {
  for (const { name, says } of REFUSED) test(name, () => assert.rejects(decided(name), says));
  test('an external network that is asked for', () =>
    assert.rejects(decided('guest', ['--network', 'default']), /docker network create --subnet .* webproxy/));
  test('a network that is not there', () =>
    assert.rejects(
      decided('voting', ['--network', 'side']),
      /no service is on a network side; there are: .*front-tier/,
    ));
});

test('the subnet is the same every time, and another as soon as somebody has it', async () => {
  const first = (await decided('guestbook')).override.subnet;
  assert.equal((await decided('guestbook')).override.subnet, first);
  const second = (await decided('guestbook', [], { stacks: takenBy('other', [first]) })).override.subnet;
  assert.ok(!overlaps(parsePrefix(first)!, parsePrefix(second)!));
  const wide = [{ prefix: parsePrefix('10.0.0.0/8')!, by: 'a VPN' }];
  const third = (await decided('guestbook', [], { host: wide })).override.subnet;
  assert.ok(contains(parsePrefix('172.16.0.0/12')!, parseIpv4(third.split('/')[0]!)!), third);
  const all = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];
  await assert.rejects(decided('guestbook', [], { stacks: takenBy('all', all) }), /every private subnet is taken/);
});

test('the subnet of a stack that is set up stays, also while its own network is there, until another stack has it', async () => {
  const previous = '10.77.88.0/24';
  const route = [{ prefix: parsePrefix(previous)!, by: 'a route of this host (br-1)' }];
  assert.equal((await decided('guestbook', [], { previous, host: route })).override.subnet, previous);
  const moved = await decided('guestbook', [], { previous, stacks: takenBy('other', ['10.77.0.0/16']) });
  assert.notEqual(moved.override.subnet, previous);
});

test('a subnet that the user chose is never replaced: who has it already is named', async () => {
  const stacks = takenBy('other', ['172.22.0.0/16']);
  await assert.rejects(
    decided('mail', [], { stacks }),
    /172\.22\.7\.0\/24 overlaps 172\.22\.0\.0\/16, used by stack other/,
  );
  await assert.rejects(
    decided('guestbook', ['--subnet', '172.22.9.0/24'], { stacks }),
    /--subnet: .* used by stack other/,
  );
});

test('what the user has prepared is not said again', async () => {
  const { override } = await decided('prepared');
  assert.deepEqual([override.gateway, override.router, override.mtu], [undefined, undefined, undefined]);
  const written = parse(overrideText(template(), override));
  assert.deepEqual(written.networks, { default: null });
});

test('the VNI is that of the stacks heard; an id that another host uses is refused', async () => {
  const heard = [record(7, { vni: 4242 })];
  assert.equal((await decided('guestbook', [], { heard })).override.vni, 4242);
  assert.equal((await decided('guestbook', ['--vni', '7'], { heard })).override.vni, 7);
  const two = await decided('guestbook', [], { heard: [...heard, record(8, { vni: 5 })] });
  assert.equal(two.override.vni, 1000);
  assert.match(two.notes.join(), /several VNIs/);
  const twin = [record(9, { stack_id: 'guestbook' })];
  await assert.rejects(
    decided('guestbook', [], { heard: twin }),
    /the id guestbook is on 192\..*--stack-id guestbook-2/,
  );
  await decided('guestbook', [], { heard: twin, hostAddress: twin[0]!.host_ip });
});

test('our file is known again, and an edit of it is seen', async () => {
  const text = overrideText(template(), (await decided('guestbook')).override);
  assert.ok(isOurs(text) && !isEdited(text));
  assert.doesNotMatch(text, /Copy this file/, 'what the template tells those who copy it');
  assert.ok(isEdited(text.replace('unless-stopped', 'always')));
  assert.ok(!isOurs('services: {}\n'));
});

test('name servers: the router, then one of the host; services that have their own keep them', async () => {
  const { loaded, options } = await project('inherited');
  const { override, gateway } = decide(loaded, { ...options, dns: true }, NOTHING);
  assert.deepEqual(override.dns, { services: ['base', 'api'], servers: [gateway, '192.0.2.53'] });
  assert.deepEqual(parse(overrideText(template(), override)).services.api, { dns: [gateway, '192.0.2.53'] });
  const alone = decide(loaded, { ...options, dns: true }, { ...NOTHING, nameServers: [] });
  assert.deepEqual(alone.override.dns?.servers, [gateway]);
  assert.match(alone.notes.join(), /add a second one to dns/);
});
