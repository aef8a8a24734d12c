import { expect, it } from 'vitest';
import { loudness, outline, readWaveform } from './waveform';

function file(header: number[], values: number[]): ArrayBuffer {
  const buffer = new ArrayBuffer(24 + values.length);
  const view = new DataView(buffer);
  header.forEach((value, at) => view.setUint32(4 * at, value, true));
  values.forEach((value, at) => view.setInt8(24 + at, value));
  return buffer;
}

it('reads the values and how long a point is', () => {
  const found = readWaveform(file([2, 1, 48_000, 4_800, 2, 1], [-128, 127, -3, 4]));
  expect(found?.secondsPerPoint).toBe(0.1);
  expect([...(found?.values ?? [])]).toEqual([-128, 127, -3, 4]);
});

it.each([
  ['nothing', new ArrayBuffer(0)],
  ['version 1', file([1, 1, 48_000, 4_800, 1, 1], [0, 0])],
  ['16 bits', file([2, 0, 48_000, 4_800, 1, 1], [0, 0])],
  ['two channels', file([2, 1, 48_000, 4_800, 1, 2], [0, 0])],
  ['no rate', file([2, 1, 0, 4_800, 1, 1], [0, 0])],
  ['no length of a point', file([2, 1, 48_000, 0, 1, 1], [0, 0])],
  ['no points', file([2, 1, 48_000, 4_800, 0, 1], [])],
  ['too few points', file([2, 1, 48_000, 4_800, 2, 1], [0, 0])],
  ['a page that says it is not there', new TextEncoder().encode('{"code":"not_found","title":"Not Found"}').buffer],
])('refuses %s', (_, buffer) => {
  expect(readWaveform(buffer)).toBeNull();
});

const wave = (...peaks: number[]) => ({ secondsPerPoint: 1, values: Int8Array.from(peaks.flatMap((peak) => [-peak, peak])) });

it('says how loud each part is, beside the loudest', () => {
  expect(loudness(wave(0, 100, 50, 0), 4, 4)).toEqual([0, 1, 0.5, 0]);
  expect(loudness(wave(0, 100, 50, 0), 4, 2)).toEqual([1, 0.5]);
  expect(loudness(wave(0, 100), 2, 4)).toEqual([0, 0, 1, 1]);
  // The picture goes on after the sound.
  expect(loudness(wave(100, 100), 4, 4)).toEqual([1, 1, 0, 0]);
  // Only downwards.
  expect(loudness({ secondsPerPoint: 1, values: Int8Array.from([-128, -1, 0, 64]) }, 2, 2)).toEqual([1, 0.5]);
});

it('does not make noise loud', () => {
  expect(loudness(wave(0, 1, 2), 3, 3)).toEqual([0, 1 / 16, 2 / 16]);
});

it('draws steps on the lower edge', () => {
  expect(outline([0, 1, 0.333], 10)).toBe('M0 10V10H1V0H2V6.67H3V10Z');
});
