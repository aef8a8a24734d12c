// In the header: the uploads under way, wherever the instructor is.

import { useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { Link } from 'react-router';
import { percent } from '../ui/format';
import { Icon } from '../ui/Icon';
import { toast } from '../ui/toasts';
import { forgetUpload } from './uploads';
import { useUploads } from './useUploads';

export function UploadsIndicator() {
  const uploads = useUploads();
  const queries = useQueryClient();
  const done = uploads.find((upload) => upload.status === 'done');

  // A finished upload becomes the lesson's asset: from here on the asset's own progress is shown.
  useEffect(() => {
    if (!done) return;
    toast(`${done.filename} is uploaded.`);
    void Promise.all([
      queries.invalidateQueries({ queryKey: ['lesson', done.lessonId] }),
      queries.invalidateQueries({ queryKey: ['lessons', done.courseId] }),
      done.assetId ? queries.invalidateQueries({ queryKey: ['asset', done.assetId] }) : undefined,
    ]).finally(() => forgetUpload(done.lessonId));
  }, [done, queries]);

  const first = uploads[0];
  if (!first) return null;
  const size = uploads.reduce((sum, upload) => sum + upload.size, 0);
  const sent = uploads.reduce((sum, upload) => sum + upload.sent, 0);
  const stuck = uploads.some((upload) => upload.status === 'failed');
  const share = size > 0 ? percent(sent / size) : '0 %';
  return (
    <Link
      to={`/teach/courses/${first.courseId}/lessons/${first.lessonId}`}
      className={stuck ? 'uploads-indicator uploads-indicator-bad' : 'uploads-indicator'}
      aria-label={stuck ? 'An upload needs attention' : `Uploading, ${share}`}
      data-testid="uploads-indicator"
    >
      <Icon name={stuck ? 'warning' : 'upload'} size={16} />
      <span aria-hidden="true">{stuck ? 'Stopped' : share}</span>
    </Link>
  );
}
