/** What a check found, and the table of all of them: a line each, the remedy below what failed. Pure. */
import { plainText } from './plain-text.ts';

export type Status = 'ok' | 'note' | 'FAILED' | 'skipped';

export interface Verdict {
  /** A context, the desk, or `a → b`. */
  readonly subject: string;
  readonly check: string;
  readonly status: Status;
  readonly detail: string;
  /** What mends it. Every failure has one. */
  readonly remedy?: string;
}

export const passed = (subject: string, check: string, detail = ''): Verdict => ({
  subject,
  check,
  status: 'ok',
  detail: plainText(detail),
});

export const failed = (subject: string, check: string, detail: string, remedy: string): Verdict => ({
  subject,
  check,
  status: 'FAILED',
  detail: plainText(detail),
  remedy,
});

/** Works, and somebody should know something about it. */
export const noted = (subject: string, check: string, detail: string, remedy?: string): Verdict => ({
  subject,
  check,
  status: 'note',
  detail: plainText(detail),
  ...(remedy && { remedy }),
});

export const skipped = (subject: string, check: string, detail: string): Verdict => ({
  subject,
  check,
  status: 'skipped',
  detail: plainText(detail),
});

export type Paint = (status: Status, text: string) => string;

const plain: Paint = (_status, text) => text;

/** Rows of the table, without a heading; columns as wide as their widest cell. */
export function verdictTable(verdicts: readonly Verdict[], paint: Paint = plain): string[] {
  const width = (of: (verdict: Verdict) => string) => Math.max(0, ...verdicts.map((verdict) => of(verdict).length));
  const subject = width((verdict) => verdict.subject);
  const check = width((verdict) => verdict.check);
  const status = width((verdict) => verdict.status);
  return verdicts.flatMap((verdict) => {
    const left = `  ${verdict.subject.padEnd(subject)}  ${verdict.check.padEnd(check)}  `;
    const row = `${left}${paint(verdict.status, verdict.status.padEnd(status))}  ${verdict.detail}`.trimEnd();
    if (!verdict.remedy) return [row];
    return [row, `${' '.repeat(left.length)}${' '.repeat(status)}  → ${verdict.remedy}`];
  });
}

/** The last line. */
export function summary(verdicts: readonly Verdict[]): string {
  const count = (status: Status) => verdicts.filter((verdict) => verdict.status === status).length;
  const bad = count('FAILED');
  const rest = [count('note') && `${count('note')} to note`, count('skipped') && `${count('skipped')} skipped`];
  const more = rest
    .filter(Boolean)
    .map((text) => `, ${text}`)
    .join('');
  return bad === 0 ? `all good: ${count('ok')} checks${more}` : `${bad} of ${verdicts.length} checks FAILED${more}`;
}
