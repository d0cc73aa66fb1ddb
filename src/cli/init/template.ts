/** Text of examples/docker-router.yml, which the build puts into the bundle: what init writes is what people copy by hand. */
import { readFileSync } from 'node:fs';

export function template(): string {
  return (
    process.env.DOCKER_ROUTER_TEMPLATE ??
    readFileSync(new URL('../../../examples/docker-router.yml', import.meta.url), 'utf8')
  );
}
