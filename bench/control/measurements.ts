/** The measurements of the control plane, by name. */
import type { Options } from '../options.ts';
import type { Findings } from '../rows.ts';
import { announcing } from './announcing.ts';
import { appearance } from './appearance.ts';
import { change } from './change.ts';
import { crowd } from './crowd.ts';
import { program } from './program.ts';
import { startup } from './startup.ts';
import { traffic } from './traffic.ts';

export type Measurement = (options: Pick<Options, 'quick'>) => Promise<Findings>;

export const MEASUREMENTS: Readonly<Record<string, Measurement>> = {
  program,
  change,
  appear: appearance,
  announce: announcing,
  crowd,
  start: startup,
  traffic,
};
