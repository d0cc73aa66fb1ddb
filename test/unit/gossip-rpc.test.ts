import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { decodeMulti, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { RpcConnection, RpcRefusal } from '../../src/sources/gossip/rpc.ts';
import { encodeRequest, ipv4Of, MAX_MESSAGE_BYTES, MembersSchema } from '../../src/sources/gossip/rpc-codec.ts';

/** Answers to handshake, auth and `members`, as Serf 0.9.4 (Debian 12) and 0.10.1 (Debian 13) both sent them. */
const CAPTURED = [
  '82a54572726f72a0a353657101',
  '82a54572726f72a0a353657102',
  '82a54572726f72a0a35365710381a74d656d62657273918ba441646472c4040a630001ab44656c656761746543757205ab44656c65676174654d617805ab44656c65676174654d696e02a44e616d65a26e31a4506f7274cd1f0aab50726f746f636f6c43757202ab50726f746f636f6c4d617805ab50726f746f636f6c4d696e01a6537461747573a5616c697665a45461677381a161a131',
].map((hex) => Buffer.from(hex, 'hex'));

/** A server on loopback that answers each connection as `behave` says; closed with everything on it after `body`. */
async function withServer(behave: (socket: Socket) => void, body: (port: number) => Promise<void>): Promise<void> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    behave(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await body((server.address() as { port: number }).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

const ok = (seq: number) => Buffer.from(encode({ Seq: seq, Error: '' }));

/** Calls `answer` with the number of each request as it comes, from 1. */
function onRequests(socket: Socket, answer: (seq: number) => void): void {
  socket.on('data', (bytes) => {
    for (const object of decodeMulti(bytes)) {
      const { Command, Seq } = object as { Command?: string; Seq?: number };
      if (Command !== undefined) answer(Seq!);
    }
  });
}

/** Answers handshake and auth, then as `more` does to the third request. */
function agent(more: (socket: Socket) => void): (socket: Socket) => void {
  return (socket) =>
    onRequests(socket, (seq) => {
      if (seq === 3) more(socket);
      else socket.write(ok(seq));
    });
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => assert.fail('it succeeded'),
    (cause: Error) => cause,
  );
}

test('a request is a header with the command and its number, then the body', () => {
  const bytes = encodeRequest(7, 'join', { Existing: ['10.0.0.1:7946'], Replay: false });
  assert.deepEqual(
    [...decodeMulti(bytes)],
    [
      { Command: 'join', Seq: 7 },
      { Existing: ['10.0.0.1:7946'], Replay: false },
    ],
  );
  assert.deepEqual([...decodeMulti(encodeRequest(8, 'members'))], [{ Command: 'members', Seq: 8 }]);
});

test('what Serf sends is understood, in whatever pieces it comes', async () => {
  for (const size of [1, 3, 50, 1000]) {
    const behave = (socket: Socket) => {
      socket.setNoDelay(true);
      onRequests(socket, (seq) => {
        const bytes = CAPTURED[seq - 1]!;
        for (let at = 0; at < bytes.length; at += size) socket.write(bytes.subarray(at, at + size));
      });
    };
    await withServer(behave, async (port) => {
      const rpc = await RpcConnection.open(port, 'token');
      const { Members } = await rpc.ask('members', undefined, MembersSchema, 2000);
      assert.deepEqual(
        (Members as { Name: string; Tags: unknown }[]).map(({ Name, Tags }) => [Name, Tags]),
        [['n1', { a: '1' }]],
      );
      rpc.close();
    });
  }
});

test("Serf's refusal comes in its own words and the connection goes on", async () => {
  const more = (socket: Socket) => socket.write(encode({ Seq: 3, Error: 'Encoded length of tags exceeds limit' }));
  await withServer(agent(more), async (port) => {
    const rpc = await RpcConnection.open(port, 'token');
    const cause = await failure(rpc.call('tags', { Tags: {} }, 2000));
    assert.ok(cause instanceof RpcRefusal);
    assert.equal(cause.message, 'Encoded length of tags exceeds limit');
    await rpc.call('tags', { Tags: {} }, 2000);
    rpc.close();
  });
});

test('a wrong token is refused at the door', async () => {
  const refusal = Buffer.from(encode({ Seq: 2, Error: 'Invalid authentication token' }));
  const behave = (socket: Socket) => onRequests(socket, (seq) => socket.write(seq === 1 ? ok(1) : refusal));
  await withServer(behave, async (port) => {
    assert.equal((await failure(RpcConnection.open(port, 'wrong'))).message, 'Invalid authentication token');
  });
});

test('a member with the tag __proto__ does not hide the others', async () => {
  const member = Buffer.concat([
    Buffer.from('81a454616773' + '81', 'hex'),
    Buffer.from(encode('__proto__')),
    Buffer.from(encode('x')),
  ]);
  const answer = Buffer.concat([
    ok(3),
    Buffer.from('81a74d656d6265727392', 'hex'),
    member,
    Buffer.from(encode({ Name: 'good' })),
  ]);
  await withServer(
    agent((socket) => socket.write(answer)),
    async (port) => {
      const rpc = await RpcConnection.open(port, 'token');
      const { Members } = await rpc.ask('members', undefined, MembersSchema, 2000);
      assert.equal((Members as { Name?: string }[])[1]!.Name, 'good');
      assert.equal(({} as { x?: string }).x, undefined);
      rpc.close();
    },
  );
});

test('silence, a closed connection and an endless answer are errors in words, and every later call fails at once', async () => {
  const cases: [(socket: Socket) => void, RegExp][] = [
    [() => undefined, /did not answer members within 200 ms/],
    [(socket) => socket.end(), /closed the connection/],
    [
      (socket) => {
        const flood = Buffer.alloc(1024 * 1024, 0xc0);
        const header = Buffer.from('dd00004e20', 'hex');
        socket.write(Buffer.concat([ok(3), Buffer.from('81a74d656d62657273', 'hex'), header]));
        // 40 arrays that each hold a string of a megabyte: all within the limits of one, not of the whole.
        for (let i = 0; i < 40; i += 1)
          socket.write(Buffer.concat([Buffer.from('db000fffff', 'hex'), flood.subarray(0, 0xfffff)]));
      },
      new RegExp(`more than ${MAX_MESSAGE_BYTES} bytes`),
    ],
  ];
  for (const [more, words] of cases) {
    await withServer(agent(more), async (port) => {
      const rpc = await RpcConnection.open(port, 'token');
      const cause = await failure(
        rpc.ask('members', undefined, MembersSchema, words.source.includes('200') ? 200 : 20_000),
      );
      assert.match(cause.message, words);
      assert.ok(!(cause instanceof RpcRefusal));
      assert.equal(await failure(rpc.call('tags', {}, 1000)), cause);
    });
  }
});

test('any bytes in an answer end in an answer or an error, never in a crash', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (noise) => {
      const more = (socket: Socket) => {
        socket.write(ok(3));
        socket.end(noise);
      };
      await withServer(agent(more), async (port) => {
        const rpc = await RpcConnection.open(port, 'token');
        await rpc
          .ask('members', undefined, MembersSchema, 2000)
          .catch((cause: Error) => assert.match(cause.message, /\w/));
        rpc.close();
      });
    }),
    { numRuns: 60 },
  );
});

test('nobody there: an error, at once', async () => {
  await failure(RpcConnection.open(1, 'token'));
});

test('an IPv4 address may come in IPv6 clothes', () => {
  assert.equal(ipv4Of(Uint8Array.of(10, 0, 0, 1)), '10.0.0.1');
  assert.equal(ipv4Of(Buffer.from('00000000000000000000ffff0a000001', 'hex')), '10.0.0.1');
  assert.equal(ipv4Of(Buffer.from('20010db8000000000000000000000001', 'hex')), undefined);
});
