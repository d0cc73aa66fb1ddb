// A reporter for Node's test runner that writes one line: passed, failed, skipped.
/** @param {AsyncIterable<{ type: string, data: Record<string, any> }>} source */
export default async function* count(source) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for await (const { type, data } of source) {
    // A suite or a file is counted by its tests; a file that fails as such (a syntax error) has none and counts itself.
    if (data?.details?.type === 'suite') continue;
    if (type === 'test:fail') counts.failed += 1;
    else if (type === 'test:pass' && data.skip !== undefined) counts.skipped += 1;
    else if (type === 'test:pass') counts.passed += 1;
  }
  yield `${counts.passed} ${counts.failed} ${counts.skipped}\n`;
}
