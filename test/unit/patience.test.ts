/** Waiting by turns instead of by the clock. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { patience } from '../../src/process/patience.ts';

test('it ends when it is over, or when there is enough', async () => {
  const began = performance.now();
  await patience(60_000, () => performance.now() - began > 150);
  assert.ok(performance.now() - began >= 150);
  const again = performance.now();
  await patience(130);
  // A timer may end a millisecond early.
  assert.ok(performance.now() - again >= 128);
});

test('what the process slept through does not count', async () => {
  const script = `import { patience } from './src/process/patience.ts';
    const began = performance.now(); setTimeout(() => console.log('begins'), 150); await patience(600); console.log(performance.now() - began);`;
  const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', script]);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  while (!text.includes('begins')) await sleep(10);
  child.kill('SIGSTOP');
  await sleep(1000);
  child.kill('SIGCONT');
  await once(child, 'close');
  const took = Number(text.split('\n')[1]);
  assert.ok(took > 1400, `${took} ms, of which it stood still for 1000`);
});
