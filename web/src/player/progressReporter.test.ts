import { expect, it } from 'vitest';
import { isCompleted, ProgressReporter, resumeAt, type Report } from './progressReporter';

it.each([
  [0, 0, false],
  [10, Number.NaN, false],
  [94_000, 100_000, false],
  [95_000, 100_000, true],
  [3_580_000, 3_600_000, false],
  [3_585_000, 3_600_000, true],
  [200, 200, true],
])('completed at %d of %d: %s', (position, duration, expected) => expect(isCompleted(position, duration)).toBe(expected));

it.each([
  [0, 100_000, 0],
  [2_900, 100_000, 0],
  [40_000, 100_000, 40_000],
  [99_000, 100_000, 0],
  [40_000, Number.NaN, 40_000],
])('left at %d of %d: starts at %d', (position, duration, expected) => expect(resumeAt(position, duration)).toBe(expected));

it('reports changes only, and completion once and for all', () => {
  const sent: Report[] = [];
  const reporter = new ProgressReporter((report) => sent.push(report));
  reporter.report(1_000.4, 100_000);
  reporter.report(1_200, 100_000);
  reporter.report(94_900, 100_000);
  reporter.report(95_100, 100_000);
  reporter.report(95_100, 100_000);
  reporter.report(5_000, 100_000);
  expect(sent).toEqual([
    { position_ms: 1_000 },
    { position_ms: 94_900 },
    { position_ms: 95_100, completed: true },
    { position_ms: 5_000, completed: true },
  ]);
});

it('sends the last report another way', () => {
  const sent: Report[] = [];
  const last: Report[] = [];
  const reporter = new ProgressReporter((report) => sent.push(report));
  reporter.report(20_000, 100_000, (report) => last.push(report));
  expect([sent.length, last.length]).toEqual([0, 1]);
});
