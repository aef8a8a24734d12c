import { expect, it } from 'vitest';
import { SpeedMeter } from './speedMeter';

it('knows nothing from one sample or a moment', () => {
  const meter = new SpeedMeter();
  expect(meter.speed()).toBeNull();
  meter.add(0, 0);
  meter.add(500, 1_000_000);
  expect(meter.speed()).toBeNull();
  expect(meter.timeLeft(1)).toBeNull();
});

it('measures the last ten seconds only', () => {
  const meter = new SpeedMeter();
  for (let second = 0; second <= 30; second += 1) meter.add(second * 1000, second <= 15 ? 0 : (second - 15) * 2_000_000);
  expect(meter.speed()).toBe(2_000_000);
  expect(meter.timeLeft(50_000_000)).toBe(10_000);
});

it('starts afresh when an upload goes back to what the server has', () => {
  const meter = new SpeedMeter();
  meter.add(0, 0);
  meter.add(5_000, 10_000_000);
  meter.add(6_000, 4_000_000);
  expect(meter.speed()).toBeNull();
  meter.add(8_000, 5_000_000);
  expect(meter.speed()).toBe(500_000);
});

it('says nothing while nothing moves', () => {
  const meter = new SpeedMeter();
  meter.add(0, 5);
  meter.add(4_000, 5);
  expect(meter.speed()).toBe(0);
  expect(meter.timeLeft(10)).toBeNull();
});
