// Published or draft.

import type { PublishedStatus } from '../api/types';

export function StatusBadge({ status }: { status: PublishedStatus }) {
  return (
    <span className={status === 'published' ? 'badge badge-good' : 'badge'} data-testid="published-status">
      {status === 'published' ? 'Published' : 'Draft'}
    </span>
  );
}
