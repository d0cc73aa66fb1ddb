// A reporter for Node's test runner: a line `passed failed skipped`, then a few lines for each test that failed.
import { relative } from 'node:path';

/** Of a message, which may show long values. */
const SHOWN = 600;

/** @param {Record<string, any>} data */
function failure({ name, file, line, details }) {
  const error = details?.error?.cause ?? details?.error;
  const words = String(error?.message ?? error ?? '').slice(0, SHOWN);
  return `✖ ${relative('.', file ?? '')}:${line ?? ''}: ${name}\n${words.replace(/^/gm, '    ')}\n`;
}

/** @param {AsyncIterable<{ type: string, data: Record<string, any> }>} source */
export default async function* count(source) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let failures = '';
  for await (const { type, data } of source) {
    // A suite or a file is counted by its tests; a file that fails as such (a syntax error) has none and counts itself.
    if (data?.details?.type === 'suite') continue;
    if (type === 'test:fail') {
      counts.failed += 1;
      failures += failure(data);
    } else if (type === 'test:pass' && data.skip !== undefined) counts.skipped += 1;
    else if (type === 'test:pass') counts.passed += 1;
  }
  yield `${counts.passed} ${counts.failed} ${counts.skipped}\n${failures}`;
}
