import { expect, it } from 'vitest';
import type { AssetState } from '../api/types';
import { stepsFor } from './steps';

const line: AssetState[] = ['awaiting_upload', 'uploading', 'probing', 'processing', 'playable', 'ready'];

it('never goes back along the line of states', () => {
  const done = line.map((state) => stepsFor(state).filter((step) => step.state === 'done').length);
  expect(done).toEqual([0, 0, 1, 2, 2, 4]);
});

it('has exactly one step under way until ready', () => {
  for (const state of line) {
    const now = stepsFor(state).filter((step) => step.state === 'now');
    expect(now.length, state).toBe(state === 'ready' ? 0 : 1);
  }
  expect(stepsFor('processing').map((step) => step.name)).toEqual(['Uploaded', 'Examined', 'Processing', 'Ready']);
});
