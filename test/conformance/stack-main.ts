/** Process of one stack, started by stack-process.ts: the order comes as the first message, `stop` as the second. */
import type { StackRecord } from '../../src/record/record.ts';
import type { Source } from '../../src/sources/source.ts';
import type { StackOrder } from './stack-process.ts';

interface SourceModule {
  createSource(options: unknown, record: StackRecord): Source;
}

process.once('message', async (order: StackOrder) => {
  const { createSource } = (await import(order.module)) as SourceModule;
  const source = createSource(order.options, order.record);
  source.publish(order.record);
  source.start(() => undefined);
  process.once('message', async () => {
    const begin = performance.now();
    await source.stop();
    process.send!({ stopMs: performance.now() - begin }, () => process.disconnect());
  });
  process.send!('running');
});
// The test that started this process is gone: nobody is left to see it, and no goodbye is to be said.
process.on('disconnect', () => setTimeout(() => process.exit(70), 10_000).unref());
