// In and out points as instructors write them: which part of a recording is the lesson.

import type { Trim } from '../api/types';
import { parseClock } from '../player/chapters';
import { clock } from '../ui/format';

/** What stands in the two fields; empty: the recording's own beginning or end. */
export interface PointTexts {
  begin: string;
  end: string;
}

export const NO_POINTS: PointTexts = { begin: '', end: '' };

export interface Points {
  /** Null: the whole recording. */
  trim: Trim | null;
  /** Why what was written is no part of any recording. */
  problem: string | null;
}

/** The shortest part that the server takes, milliseconds. */
const LEAST_MS = 1000;

/** `1:02:03.250`, `4:00` or `45` as milliseconds; null when it is no time. */
export function parsePoint(text: string): number | null {
  const [, whole = '', fraction = ''] = /^([^.,]*)(?:[.,](\d{1,3}))?$/.exec(text.trim()) ?? [];
  const ms = parseClock(whole);
  return ms === null ? null : ms + Number(fraction.padEnd(3, '0'));
}

export function readPoints({ begin, end }: PointTexts): Points {
  const refused = (problem: string): Points => ({ trim: null, problem });
  const times = [begin, end].map((text) => (text.trim() === '' ? undefined : parsePoint(text)));
  if (times.includes(null)) return refused('A point is a time in the recording like 4:00, 1:04:30 or 12.5.');
  const trim: Trim = { in_ms: times[0] ?? 0, out_ms: times[1] ?? null };
  if (trim.out_ms !== null && trim.out_ms < trim.in_ms + LEAST_MS) {
    return refused(`The lesson must end at least a second after it begins at ${clock(trim.in_ms)}.`);
  }
  return { trim: trim.in_ms === 0 && trim.out_ms === null ? null : trim, problem: null };
}

function pointText(ms: number): string {
  const rest = ms % 1000;
  return rest === 0 ? clock(ms) : `${clock(ms)}.${String(rest).padStart(3, '0')}`;
}

export const pointTexts = (trim: Trim | null | undefined): PointTexts => ({
  begin: trim?.in_ms ? pointText(trim.in_ms) : '',
  end: trim?.out_ms == null ? '' : pointText(trim.out_ms),
});

/** `4:00 to 1:04:00 of the recording`. */
export const partLabel = (trim: Trim): string =>
  `${pointText(trim.in_ms)} to ${trim.out_ms === null ? 'the end' : pointText(trim.out_ms)} of the recording`;
