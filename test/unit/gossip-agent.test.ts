import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { agentConfig, keyring, nodeName, rpcEnvironment } from '../../src/sources/gossip/agent-config.ts';
import { joinTrouble, type Line, lineSplitter, MAX_LINE, readLine } from '../../src/sources/gossip/output.ts';
import { record } from '../support/records.ts';

const KEYS = [Buffer.alloc(32, 1).toString('base64'), Buffer.alloc(16, 2).toString('base64')];

test("a node's name shows the stack and is another one for every address, port and instance, not for every start", () => {
  const name = nodeName(record(1), 7946);
  assert.match(name, /^stack-1\.[0-9a-f]{8}$/);
  assert.equal(nodeName(record(1, { boot: 5, seq: 9, subnets: [] }), 7946), name);
  const others = [
    nodeName(record(1), 7947),
    nodeName(record(1, { host_ip: '10.9.9.9' }), 7946),
    nodeName(record(1, { instance: 'f'.repeat(16) }), 7946),
  ];
  assert.equal(new Set([name, ...others]).size, 4);
});

const SETTINGS = {
  name: 'stack-a.0a1b2c3d',
  bind: '0.0.0.0',
  advertise: '10.0.0.1',
  port: 7946,
  rpcPort: 40_000,
  rpcToken: 'token',
  profile: 'lan',
  tags: { id: 'stack-a' },
  keyringFile: '/run/keyring.json',
} as const;

test("the agent's configuration", () => {
  const config = JSON.parse(agentConfig(SETTINGS));
  assert.deepEqual(config, {
    node_name: 'stack-a.0a1b2c3d',
    bind: '0.0.0.0:7946',
    advertise: '10.0.0.1:7946',
    rpc_addr: '127.0.0.1:40000',
    rpc_auth: 'token',
    profile: 'lan',
    tags: { id: 'stack-a' },
    keyring_file: '/run/keyring.json',
    log_level: 'DEBUG',
    disable_coordinates: true,
    disable_name_resolution: true,
    leave_on_terminate: true,
    reconnect_timeout: '1h',
    tombstone_timeout: '10m',
  });
  assert.ok(!('keyring_file' in JSON.parse(agentConfig({ ...SETTINGS, keyringFile: undefined }))));
  assert.equal(rpcEnvironment(SETTINGS), 'SERF_RPC_ADDR=127.0.0.1:40000\nSERF_RPC_AUTH=token\n');
});

test('the key ring is what the last agent left, or what is configured when that is damaged', () => {
  assert.deepEqual(keyring(undefined, KEYS), KEYS);
  const rotated = [Buffer.alloc(32, 3).toString('base64')];
  assert.deepEqual(keyring(JSON.stringify(rotated), KEYS), rotated);
  for (const damaged of ['', '[', '[]', '{}', '["short"]', '[7]'])
    assert.deepEqual(keyring(damaged, KEYS), KEYS, damaged);
});

/** As Serf 0.9.4 (Debian 12) and 0.10.1 (Debian 13) print them. */
const LINES: readonly [string, Line][] = [
  ['    2026/11/23 20:53:24 [INFO] serf: EventMemberJoin: n2 10.99.0.1', { kind: 'hint' }],
  ['    2026/11/23 20:53:24 [INFO] serf: EventMemberFailed: n2 10.99.0.1', { kind: 'hint' }],
  ['    2026/11/23 20:53:24 [INFO] serf: EventMemberUpdate: n2', { kind: 'hint' }],
  ['    2026/11/23 20:53:24 [DEBUG] serf: messageLeaveType: n2', { kind: 'hint' }],
  ['    2026/11/23 20:53:24 [INFO] agent.ipc: Accepted client: 127.0.0.1:33920', { kind: 'other' }],
  ['    2026/11/23 20:53:24 [DEBUG] memberlist: Stream connection from=10.99.0.1:35700', { kind: 'other' }],
  [
    '    2026/11/23 20:53:24 [ERR] memberlist: failed to receive: No installed keys could decrypt the message from=10.99.0.1:35702',
    {
      kind: 'stranger',
      what: 'gossip with another key',
      message: "from 10.99.0.1: its GOSSIP_ENCRYPT_KEY is not this stack's, or one of the two has none",
    },
  ],
  [
    '    2026/11/23 20:53:51 [ERR] memberlist: Decrypt packet failed: Unsupported encryption version 103 from=10.99.0.1:50472',
    {
      kind: 'stranger',
      what: 'unreadable gossip',
      message: 'from 10.99.0.1: Decrypt packet failed: Unsupported encryption version 103',
    },
  ],
  [
    '    2026/11/23 20:53:51 [ERR] memberlist: failed to receive and remove the stream label header: EOF from=10.99.0.1:4',
    { kind: 'other' },
  ],
  [
    '==> Failed to start the Serf agent: Error creating Serf: listen tcp 10.99.0.1:7946: bind: address already in use',
    {
      kind: 'fatal',
      message:
        'Failed to start the Serf agent: Error creating Serf: listen tcp 10.99.0.1:7946: bind: address already in use',
    },
  ],
  ['==> Serf agent running!', { kind: 'other' }],
];

test("Serf's lines are understood", () => {
  for (const [text, line] of LINES) assert.deepEqual(readLine(text.trim()), line, text);
});

test('any line is read, and what is passed on is printable', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (noise) => {
      const line = readLine(`[ERR] memberlist: ${noise} from=10.0.0.1:1`);
      if (line.kind === 'stranger') assert.match(line.message, /^[\x20-\x7e]*$/);
    }),
  );
});

test('lines come whole from any pieces, and a line without end takes no memory', () => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z ]{0,20}$/)), fc.integer({ min: 1, max: 9 }), (texts, size) => {
      const lines: string[] = [];
      const split = lineSplitter((line) => lines.push(line));
      const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(''));
      for (let at = 0; at < bytes.length; at += size) split(bytes.subarray(at, at + size));
      assert.deepEqual(
        lines,
        texts.map((text) => text.trim()),
      );
    }),
  );
  const lines: string[] = [];
  const split = lineSplitter((line) => lines.push(line));
  for (let i = 0; i < 100; i += 1) split(Buffer.alloc(MAX_LINE, 120));
  split(Buffer.from('\nnext\n'));
  assert.deepEqual(
    lines.map((line) => line.length),
    [MAX_LINE, 4],
  );
});

test('why a join failed, for people', () => {
  const said = '1 error occurred:\n\t* Failed to join 10.0.0.9: No installed keys could decrypt the message\n\n';
  assert.equal(
    joinTrouble('10.0.0.9:7946', said),
    '10.0.0.9:7946 gossips with another key; set the same GOSSIP_ENCRYPT_KEY on every stack',
  );
  for (const where of ['10.0.0.9', '10.0.0.9:7946']) {
    assert.equal(
      joinTrouble('10.0.0.9:7946', `1 error occurred:\n\t* Failed to join ${where}: EOF\n\n`),
      '10.0.0.9:7946 does not answer as a member: EOF',
    );
  }
});
