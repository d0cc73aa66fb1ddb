import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Board } from '../../src/contexts/board.ts';

function screen(isTTY: boolean) {
  const written: string[] = [];
  return { isTTY, columns: 60, write: (text: string) => written.push(text), text: () => written.join('') };
}

test('each step of each host ends in a line: what it was, how long it took, what there is to say', async () => {
  const shown = screen(false);
  const board = new Board(shown, ['remote1', 'b']);
  await Promise.all([
    board.step('remote1', 'images', async (detail) => {
      detail('building');
      await sleep(20);
      detail('built there');
    }),
    assert.rejects(
      board.step('b', 'start', async () => {
        throw new Error('no such image');
      }),
      /no such image/,
    ),
  ]);
  const lines = shown
    .text()
    .replaceAll(/\d+\.\d s/g, 'N s')
    .split('\n');
  assert.deepEqual(lines, [
    '  ✗ b        start          N s  no such image',
    '  ✓ remote1  images         N s  built there',
    '',
  ]);
});

test('on a terminal one line at the bottom shows everything that runs, never wider than the terminal', async () => {
  const shown = screen(true);
  const board = new Board(shown, ['a', 'b']);
  await Promise.all(
    ['a', 'b'].map((name) =>
      board.step(name, 'images', async (detail) => {
        detail('x'.repeat(100));
        await sleep(500);
        detail('');
      }),
    ),
  );
  const status = shown
    .text()
    .split('\r\x1b[2K')
    .filter((line) => line.startsWith('  … '));
  assert.ok(
    status.some((line) => line.includes('a: images')),
    shown.text(),
  );
  assert.ok(status.every((line) => line.length < 60));
  // What was in progress is erased by what is done.
  assert.match(shown.text().replaceAll('\u001b', 'ESC'), /\rESC\[2K {2}\S*✓\S* b {2}images.*\n$/);
});
