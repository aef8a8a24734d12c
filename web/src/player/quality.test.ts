import { expect, it } from 'vitest';
import { qualityChoices } from './quality';

const level = (width: number, height: number, bitrate = 1_000_000) => ({ width, height, bitrate });

it('lists the best first and remembers the index', () => {
  const levels = [level(640, 360), level(1920, 1080), level(1280, 720)];
  expect(qualityChoices(levels)).toEqual([
    { level: 1, label: '1080p' },
    { level: 2, label: '720p' },
    { level: 0, label: '360p' },
  ]);
});

it('tells twins apart, names portrait by its short side, and sound by its rate', () => {
  expect(qualityChoices([level(1280, 720, 900_000), level(1280, 720, 2_500_000)]).map((choice) => choice.label)).toEqual([
    '720p, 2.5 Mbit/s',
    '720p, 900 kbit/s',
  ]);
  expect(qualityChoices([level(720, 1280)])[0]?.label).toBe('720p');
  expect(qualityChoices([level(0, 0, 128_000)])[0]?.label).toBe('128 kbit/s');
  expect(qualityChoices([])).toEqual([]);
});
