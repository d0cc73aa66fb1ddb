/** Variables that both daemons understand. */
import { logFormat, logLevel } from './parsers.ts';
import type { Variables } from './variables.ts';

export interface CommonConfig {
  /** The shared volume. */
  readonly stateDir: string;
  readonly healthFile: string;
  readonly logLevel: ReturnType<typeof logLevel>;
  readonly logFormat: ReturnType<typeof logFormat>;
}

export function readCommon(vars: Variables): CommonConfig {
  return {
    stateDir: vars.text('STATE_DIR') ?? '/var/lib/docker-router',
    healthFile: vars.text('HEALTH_FILE') ?? '/run/docker-router/health',
    logLevel: vars.optional('LOG_LEVEL', logLevel, 'info'),
    logFormat: vars.optional('LOG_FORMAT', logFormat, 'text'),
  };
}
