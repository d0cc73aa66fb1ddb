/** Runs a test file inside a network namespace of its own, which goes away with its last process. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** First line of such a file. Returns inside the namespace; outside it never returns. Needs root. */
export function inOwnNamespace(fileUrl: string): void {
  if (process.env.DOCKER_ROUTER_TEST_NAMESPACE) return;
  const child = spawnSync('unshare', ['--net', process.execPath, '--import', 'tsx', fileURLToPath(fileUrl)], {
    stdio: 'inherit',
    env: { ...process.env, DOCKER_ROUTER_TEST_NAMESPACE: '1' },
  });
  process.exit(child.status ?? 1);
}
