import { describe, expect, it } from 'vitest';
import { chapterAt, chapterTitle, parseClock } from './chapters';

describe('chapters', () => {
  const list = [0, 10_000, 25_000].map((start_ms) => ({ start_ms }));

  it('finds the chapter of a time', () => {
    expect([-1, 0, 9_999, 10_000, 24_999, 25_000, 999_999].map((ms) => chapterAt(list, ms))).toEqual([-1, 0, 0, 1, 1, 2, 2]);
    expect(chapterAt([], 5)).toBe(-1);
    expect(chapterAt([{ start_ms: 5_000 }], 4_999)).toBe(-1);
  });

  it('numbers those without a title', () => {
    expect(chapterTitle({ title: '' }, 2)).toBe('Chapter 3');
    expect(chapterTitle({ title: 'Lenses' }, 2)).toBe('Lenses');
  });

  it('reads times as people write them', () => {
    expect(parseClock('45')).toBe(45_000);
    expect(parseClock(' 2:03 ')).toBe(123_000);
    expect(parseClock('1:02:03')).toBe(3_723_000);
    expect(parseClock('90:00')).toBe(5_400_000);
    for (const wrong of ['', 'x', '1:2:3:4', '1:60', '-1', '1.5', ':30', '1:']) expect(parseClock(wrong)).toBeNull();
  });
});
