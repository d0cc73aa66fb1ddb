/** The `docker-router` command as a process: finding a command, help, wrong words. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { COMMANDS } from '../../src/cli/commands.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

function cli(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  return { status, stdout, stderr };
}

test('help lists every command; each has a help of its own', () => {
  const { status, stdout } = cli('--help');
  assert.equal(status, 0);
  for (const [name, { summary }] of Object.entries(COMMANDS)) {
    assert.ok(stdout.includes(summary), name);
    const own = cli(name, '--help');
    assert.equal(own.status, 0, own.stderr);
    assert.match(own.stdout, new RegExp(`^docker-router ${name}: [\\s\\S]*\nUsage: docker-router ${name}`), name);
  }
});

test('a wrong command and a wrong configuration have their exit status and words', () => {
  const unknown = cli('toString');
  assert.equal(unknown.status, 64);
  assert.match(unknown.stderr, /no such command: toString[\s\S]*Usage:/);
  assert.equal(cli('run', 'now').status, 64);
  assert.match(cli('--version').stdout, /^development\n$/);
});
