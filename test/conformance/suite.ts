/**
 * The conformance suite: what every discovery source must do, run against the real thing (a multicast network, etcd, BIND, Serf).
 *
 * A source's author writes `test/conformance/NAME.test.ts`:
 *
 *     await inPrivateNetwork(import.meta.url);            // network.ts: own network namespace with lo and 10.99.0.1; re-runs this file
 *     conformance('etcd', new EtcdHarness());             // suite.ts
 *
 * and a Harness (harness.ts says what each member must do). A module of its own exports `createSource(options, record)` for stacks that must
 * run as a process of their own, since only a process can be killed without a goodbye (stack-process.ts). Each case uses stack ids
 * of its own, so what a case leaves behind does no harm to the next. A case that cannot hold for a transport is skipped only with
 * a reason, given in `skip`. Run it: node --import tsx --test test/conformance/NAME.test.ts
 */
import { after, before, describe, test } from 'node:test';
import { CASES, type CaseName } from './cases.ts';
import { TRUST } from './envelope.ts';
import type { Harness } from './harness.ts';
import { Lab } from './lab.ts';

export type { CaseName } from './cases.ts';
export type { Doomed, Harness, Outage } from './harness.ts';
export { inPrivateNetwork } from './network.ts';
export { spawnStack } from './stack-process.ts';

/** No case takes longer, even on a loaded machine with a transport that takes 30 s to notice a death. */
const CASE_TIMEOUT_MS = 180_000;

/** With identities the second is refused by its identity, in other words than the transport's own; see test/unit/trust-gate.test.ts. */
const NOT_WITH_TRUST: readonly CaseName[] = ['a second stack with the same id is seen or refused, never mixed up'];
/** What shows that a transport carries envelopes; the others show nothing more of them. */
const SHORT: readonly CaseName[] = [
  'every field of a record arrives as it was published',
  'a changed record replaces the old one',
  'publishing the same record again is harmless',
  'a stack is never told of itself',
  'a clean stop removes at once',
];

function isWanted(title: CaseName): boolean {
  if (process.env.CONFORMANCE_SHORT === '1') return SHORT.includes(title);
  return !TRUST || !NOT_WITH_TRUST.includes(title);
}

/** Defines one node:test case for every entry of `CASES`, in order, on one running transport. */
export function conformance(name: string, harness: Harness): void {
  describe(`conformance of ${name}`, () => {
    before(() => harness.start(), { timeout: CASE_TIMEOUT_MS });
    after(() => harness.stop(), { timeout: CASE_TIMEOUT_MS });
    for (const [index, [title, body]] of Object.entries(CASES).entries()) {
      if (!isWanted(title as CaseName)) continue;
      const skip = harness.skip?.[title as CaseName];
      if (skip !== undefined) {
        console.log(`${name}: "${title}" does not apply: ${skip}`);
        continue;
      }
      test(title, { timeout: CASE_TIMEOUT_MS }, async () => {
        const lab = new Lab(harness, index);
        try {
          await body(lab);
        } finally {
          await lab.close();
        }
      });
    }
  });
}
