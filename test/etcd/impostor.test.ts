/** What answers at the endpoint is not etcd, or a hostile one: a clear message, bounded memory, no crash. */
import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { afterEach, describe, test } from 'node:test';
import { inPrivateNetwork } from '../conformance/network.ts';
import { etcdConfig } from './server.ts';
import { fails, Stacks } from './stacks.ts';

await inPrivateNetwork(import.meta.url);

const stacks = new Stacks();
afterEach(() => stacks.stop());

describe('something else answers', () => {
  /** A server that answers every request by `answer`. */
  async function impostor(
    answer: (response: ServerResponse, path: string) => void,
  ): Promise<{ url: string; close(): void }> {
    const server = createServer((request, response) => {
      request.resume();
      answer(response, request.url ?? '');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const close = () => {
      server.closeAllConnections();
      server.close();
    };
    return { url: `http://127.0.0.1:${port}`, close };
  }

  const header = { cluster_id: '1', revision: '5' };
  const good: Record<string, unknown> = {
    '/v3/lease/grant': { header, ID: '1', TTL: '3' },
    '/v3/kv/txn': { header, succeeded: true },
    '/v3/kv/range': { header, count: '0' },
  };
  const cases: [string, (response: ServerResponse, path: string) => void, RegExp][] = [
    ['a web server', (r) => r.writeHead(404).end('<h1>no</h1>'), /without etcd's JSON gateway.*3\.4 or later/],
    ['a page with status 200', (r) => r.end('<h1>hello</h1>'), /answers, but not as etcd does: not JSON/],
    ['JSON of another kind', (r) => r.end('{"hello":1}'), /answers, but not as etcd does/],
    ['numbers that are none', (r) => r.end('{"header":{"revision":"x"},"TTL":"1e9"}'), /answers, but not as etcd does/],
    ['an endless answer', endless, /answers with more than 8388608 bytes/],
    [
      'a long refusal',
      (r) => r.writeHead(400).end(JSON.stringify({ code: 3, message: `\u001b[31m${'x'.repeat(5000)}` })),
      /etcd refuses: /,
    ],
    [
      'a watch of one endless line',
      (r, path) => (path === '/v3/watch' ? endless(r) : r.end(JSON.stringify(good[path]))),
      /sends a line of more than 8388608 bytes/,
    ],
    [
      'a watch of junk',
      (r, path) => (path === '/v3/watch' ? r.end('junk\n') : r.end(JSON.stringify(good[path]))),
      /not as etcd does/,
    ],
  ];

  function endless(response: ServerResponse): void {
    const chunk = Buffer.alloc(256 * 1024, 'x');
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  }

  for (const [what, answer, pattern] of cases) {
    test(what, async () => {
      const server = await impostor(answer);
      try {
        const message = await fails(stacks.run(etcdConfig([server.url]), 1), pattern);
        assert.ok(message.length < 400 && /^[ -~]*$/.test(message), message);
      } finally {
        await stacks.stop();
        server.close();
      }
    });
  }
});
