// An asset's states as the four steps people see.

import type { AssetState } from '../api/types';

export type StepState = 'done' | 'now' | 'waiting';

export interface Step {
  name: string;
  state: StepState;
}

/** How many steps are behind an asset in each state. */
const behind: Record<AssetState, number> = {
  awaiting_upload: 0,
  uploading: 0,
  probing: 1,
  processing: 2,
  playable: 2,
  ready: 4,
  failed: 1,
  deleted: 0,
};

export function stepsFor(state: AssetState): Step[] {
  const done = behind[state];
  const names = [
    done > 0 ? 'Uploaded' : 'Uploading',
    done > 1 ? 'Examined' : 'Examining',
    done > 2 ? 'Processed' : 'Processing',
    'Ready',
  ];
  return names.map((name, index) => ({ name, state: index < done ? 'done' : index === done ? 'now' : 'waiting' }));
}
