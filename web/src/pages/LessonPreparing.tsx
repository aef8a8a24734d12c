// A lecture that cannot be played yet, as a learner sees it.

import type { LessonAsset } from '../api/types';
import { EmptyState } from '../ui/EmptyState';
import { ProgressBar } from '../ui/ProgressBar';

export function LessonPreparing({ asset }: { asset: LessonAsset | null }) {
  if (!asset || asset.state === 'failed' || asset.state === 'deleted') {
    return (
      <div className="panel" data-testid="lesson-preparing">
        <EmptyState icon="play" title="No lecture here yet" message="The instructor has not finished uploading it. Come back later." />
      </div>
    );
  }
  return (
    <div className="panel" data-testid="lesson-preparing">
      <EmptyState
        icon="play"
        title="This lecture is being prepared"
        message="It opens here by itself as soon as it can be played."
        action={asset.state === 'processing' ? <ProgressBar label="Preparing" share={asset.progress} /> : undefined}
      />
    </div>
  );
}
