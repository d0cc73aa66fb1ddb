/** A parser under fuzzing. */
import assert from 'node:assert/strict';
import type { Notation } from './mutate.ts';

export interface Target {
  readonly name: string;
  /** Good inputs, to be damaged. */
  readonly samples: readonly Buffer[];
  /** How they are read and written, where their structure is to be damaged too. */
  readonly notation?: Notation;
  /**
   * Gives one input to the parser, and what it accepts to whatever works on it next. Returns whether it was accepted.
   * @throws for a violation: the parser threw what it does not say, or let something through.
   */
  readonly run: (bytes: Buffer) => boolean;
}

/** An error in words has a bounded length: it goes into a log. */
export function checkWords(error: string): void {
  assert.ok(error.length > 0 && error.length <= 1000, `an error of ${error.length} characters`);
}

/** One line for `ip -batch` or `bridge -batch`: nothing in it may end the line or begin another command. */
export function checkLine(line: string): void {
  assert.match(line, /^[a-z0-9][a-zA-Z0-9 .:/-]*$/);
}

/** Input for `nft -f`: characters that our own rules and addresses are made of. */
export function checkScript(script: string): void {
  assert.match(script, /^[A-Za-z0-9 .:/_\-{},;"@|&=!()<>\n]*$/);
}

export const text = (value: string): Buffer => Buffer.from(value);
export const jsonText = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
