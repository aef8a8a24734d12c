// The four steps from upload to ready.

import type { Asset } from '../api/types';
import { Icon } from '../ui/Icon';
import { stepsFor } from './steps';

const spoken = { done: 'done', now: 'under way', waiting: 'to come' } as const;

export function ProcessingSteps({ asset }: { asset: Asset }) {
  const steps = stepsFor(asset.state);
  const now = steps.find((step) => step.state === 'now')?.name ?? 'Ready';
  return (
    <>
      <ol className="steps" data-testid="steps">
        {steps.map((step) => (
          <li key={step.name} className={`step step-${step.state}`} aria-current={step.state === 'now' ? 'step' : undefined}>
            <span className="step-mark">{step.state === 'done' && <Icon name="check" size={14} />}</span>
            <span>
              {step.name}
              <span className="visually-hidden">, {spoken[step.state]}</span>
            </span>
          </li>
        ))}
      </ol>
      <span className="visually-hidden" role="status">
        {now}
      </span>
    </>
  );
}
