import { expect, it } from 'vitest';
import { parsePoint, partLabel, pointTexts, readPoints } from './trim';

it.each([
  ['4:00', 240_000],
  ['1:02:03.25', 3_723_250],
  [' 12,5 ', 12_500],
  ['0', 0],
  ['45', 45_000],
  ['', null],
  ['.5', null],
  ['4:00.', null],
  ['4:61', null],
  ['-4', null],
  ['1.2345', null],
  ['now', null],
])('%s', (text, ms) => expect(parsePoint(text)).toBe(ms));

it.each([
  ['', '', null],
  ['0:00', ' ', null],
  ['4:00', '', { in_ms: 240_000, out_ms: null }],
  ['', '1:00', { in_ms: 0, out_ms: 60_000 }],
  ['4:00', '1:04:00.5', { in_ms: 240_000, out_ms: 3_840_500 }],
])('from %s to %s', (begin, end, trim) => {
  expect(readPoints({ begin, end })).toEqual({ trim, problem: null });
  if (trim !== null) expect(readPoints(pointTexts(trim)).trim).toEqual(trim);
});

it('says what is wrong', () => {
  expect(readPoints({ begin: 'four', end: '' }).problem).toContain('like 4:00');
  expect(readPoints({ begin: '4:00', end: '4:00.9' }).problem).toContain('at least a second after it begins at 4:00');
  expect(readPoints({ begin: '5:00', end: '4:00' }).problem).toContain('at least a second');
});

it('names the part', () => {
  expect(partLabel({ in_ms: 240_000, out_ms: null })).toBe('4:00 to the end of the recording');
  expect(partLabel({ in_ms: 0, out_ms: 60_500 })).toBe('0:00 to 1:00.500 of the recording');
});
