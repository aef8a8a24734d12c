import { describe, expect, it } from 'vitest';
import { clock, countOf, duration, fileSize, fromMinor, percent, priceLabel, toMinor } from './format';

describe('times', () => {
  it.each([
    [0, '0:00'],
    [999, '0:00'],
    [75_000, '1:15'],
    [3_600_000, '1:00:00'],
    [7_384_000, '2:03:04'],
    [-5, '0:00'],
  ])('clock(%d)', (ms, text) => expect(clock(ms)).toBe(text));

  it.each([
    [12_000, '12 s'],
    [59_600, '1 min'],
    [3_600_000, '1 h'],
    [5_400_000, '1 h 30 min'],
  ])('duration(%d)', (ms, text) => expect(duration(ms)).toBe(text));
});

describe('sizes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1 kB'],
    [1_500_000, '1.5 MB'],
    [999_999, '1 MB'],
    [22_400_000_000, '22.4 GB'],
    [150_000_000, '150 MB'],
  ])('fileSize(%d)', (bytes, text) => expect(fileSize(bytes)).toBe(text));

  it('never shows 100 % before the end', () => {
    expect(percent(0.999)).toBe('99 %');
    expect(percent(1.2)).toBe('100 %');
  });
});

describe('prices', () => {
  it.each([
    ['12.5', 'EUR', 1250],
    ['12,50', 'EUR', 1250],
    ['0.29', 'EUR', 29],
    ['500', 'JPY', 500],
    ['', 'EUR', 0],
    ['-1', 'EUR', null],
    ['1e9', 'EUR', null],
    ['free', 'EUR', null],
  ])('toMinor(%s, %s)', (text, currency, minor) => expect(toMinor(text, currency)).toBe(minor));

  it('read back', () => {
    for (const currency of ['EUR', 'JPY']) {
      for (const minor of [0, 1, 99, 100, 1999]) {
        expect(toMinor(fromMinor({ amount_minor: minor, currency }), currency)).toBe(minor);
      }
    }
  });

  it('are free at nothing and survive odd currencies', () => {
    expect(priceLabel({ amount_minor: 0, currency: 'EUR' })).toBe('Free');
    expect(priceLabel(null)).toBe('Free');
    expect(priceLabel({ amount_minor: 100, currency: '??' })).toBe('1 ??');
  });
});

it('counts', () => {
  expect([0, 1, 2].map((n) => countOf(n, 'lesson'))).toEqual(['0 lessons', '1 lesson', '2 lessons']);
});
