import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseLine, Usage } from '../../src/contexts/cli.ts';
import { CommandFailed, command, commandOk, lastWords } from '../../src/contexts/command.ts';

const within = { withinMs: 20_000 };

/** Whether a process is there; a zombie that nobody has collected is not. */
const lives = (pid: number): boolean =>
  /^[^Z]/.test(spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout);

test('the streams, the exit status and the input pass through', async () => {
  const ended = await command(['sh', '-c', 'cat; echo wrong >&2; exit 3'], { ...within, input: 'text' });
  assert.deepEqual(ended, { code: 3, stdout: 'text', stderr: 'wrong\n' });
  await assert.rejects(
    commandOk(['sh', '-c', 'echo wrong >&2; exit 3'], within),
    (cause) => cause instanceof CommandFailed && cause.message === 'wrong',
  );
  await assert.rejects(command(['/nonexistent/program'], within), /ENOENT/);
});

test('a program that takes too long is ended with all that it started', { timeout: 30_000 }, async (t) => {
  let child = 0;
  t.after(() => {
    if (child > 0 && lives(child)) process.kill(child, 'SIGKILL');
  });
  const running = command(['sh', '-c', "trap '' TERM; sleep 1000 & echo $! >&2; wait; wait"], {
    withinMs: 1000,
    onLine: (line) => {
      child = Number(line);
    },
  });
  await assert.rejects(running, /no answer within 1 s/);
  assert.ok(child > 0);
  for (let i = 0; i < 50 && lives(child); i += 1) await sleep(50);
  assert.ok(!lives(child));
});

test('the reason of the abort is what the caller sees', async () => {
  const controller = new AbortController();
  const reason = new Error('the host has gone');
  const running = command(['sleep', '100'], { ...within, signal: controller.signal });
  setTimeout(() => controller.abort(reason), 50);
  await assert.rejects(running, reason);
  await assert.rejects(command(['true'], { ...within, signal: controller.signal }), reason);
});

test('the last words are the reason, not the announcement of an end', () => {
  assert.equal(
    lastWords('one\nfailed to create network x: no rule\n (exit status 1))\n'),
    'failed to create network x: no rule',
  );
  assert.equal(
    lastWords("docker: Error response from daemon: x.\nSee 'docker run --help'.\n"),
    'docker: Error response from daemon: x.',
  );
  assert.equal(lastWords('\n'), '');
});

test('options and names of the command line', () => {
  assert.deepEqual(parseLine(['--keep', 'a', 'b'], ['--keep']), { options: new Set(['--keep']), names: ['a', 'b'] });
  assert.throws(() => parseLine(['--kep'], ['--keep']), Usage);
});
