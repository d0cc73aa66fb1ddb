/** Variables that both daemons understand. */
import { auto, logFormat, logLevel, port } from './parsers.ts';
import type { Parse, Variables } from './variables.ts';

export interface CommonConfig {
  /** The shared volume. */
  readonly stateDir: string;
  readonly healthFile: string;
  readonly logLevel: ReturnType<typeof logLevel>;
  readonly logFormat: ReturnType<typeof logFormat>;
  /** Where metrics are served; `auto`: on the first free port. */
  readonly metricsPort: number | 'auto' | 'off';
}

const metricsPort: Parse<CommonConfig['metricsPort']> = (text) =>
  text.toLowerCase() === 'off' ? 'off' : auto(port)(text);

export function readCommon(vars: Variables): CommonConfig {
  return {
    stateDir: vars.text('STATE_DIR') ?? '/var/lib/docker-router',
    healthFile: vars.text('HEALTH_FILE') ?? '/run/docker-router/health',
    logLevel: vars.optional('LOG_LEVEL', logLevel, 'info'),
    logFormat: vars.optional('LOG_FORMAT', logFormat, 'text'),
    metricsPort: vars.optional('METRICS_PORT', metricsPort, 'off'),
  };
}
