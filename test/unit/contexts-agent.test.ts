/** The desk's end of an agent. Small shell scripts stand for agents on hosts that are broken, or lie. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AgentLink } from '../../src/contexts/agent-link.ts';
import type { Answer } from '../../src/contexts/agent-protocol.ts';
import { clockOffset } from '../../src/contexts/checks/clock.ts';

const never = new AbortController().signal;
const agent = (script: string, signal = never) => AgentLink.start(['sh', '-c', script], process.env, signal);

async function withAgent(script: string, work: (link: AgentLink) => Promise<void>): Promise<void> {
  const link = await agent(`echo '{}'; ${script}`);
  try {
    await work(link);
  } finally {
    link.close();
  }
}

test('question and answer, also when an answer comes in pieces', async () => {
  await withAgent(
    `read q; printf '{"no'; sleep 0.1; echo 'w":5}'; read q; echo '{"error":"no"}'; cat`,
    async (link) => {
      assert.deepEqual(await link.ask({ ask: 'clock' }), { now: 5 });
      assert.deepEqual(await link.ask({ ask: 'received' }), { error: 'no' });
    },
  );
});

test('an agent that says anything else is not believed, and not asked again', async () => {
  const wrong: [string, RegExp][] = [
    ['echo nonsense', /not JSON/],
    [`echo '{"port":"4789"}'`, /port/],
    [`echo '{"received":{"1":{"1500":-1}}}'`, /received/],
    ['head -c 3000000 /dev/zero', /without end/],
    ['exit 3', /ended/],
    ['echo "no such image" >&2; exit 125', /no such image/],
  ];
  for (const [answer, reason] of wrong) {
    await withAgent(`read q; ${answer}; cat`, async (link) => {
      await assert.rejects(link.ask({ ask: 'clock' }), reason);
      await assert.rejects(link.ask({ ask: 'clock' }), reason);
    });
  }
  await assert.rejects(agent('echo "docker: no space left" >&2; exit 125'), /no space left/);
});

test('whoever waits for an agent learns why its host is gone', async () => {
  const host = new AbortController();
  const link = await agent(`echo '{}'; cat >/dev/null`, host.signal);
  const asked = link.ask({ ask: 'clock' });
  host.abort(new Error('remote2 no longer answers'));
  await assert.rejects(asked, /remote2 no longer answers/);
  link.close();
});

test('how far a clock is ahead: the quickest answer counts, the way there and back is taken out', async () => {
  const ahead = 7_200_000;
  const delays = [400, 20, 400];
  const ask = async (): Promise<Answer> => {
    const delay = delays.shift() ?? 400;
    // The answer is written in the middle of the way, and late only on the way back where the line is slow.
    await new Promise((resolve) => setTimeout(resolve, delay / 2));
    const now = Date.now() + ahead;
    await new Promise((resolve) => setTimeout(resolve, delay === 20 ? 10 : delay));
    return { now };
  };
  const offset = await clockOffset({ ask });
  assert.ok(Math.abs(offset - ahead) < 90, `${offset - ahead} ms off`);
});
