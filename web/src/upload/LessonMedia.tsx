// The lecture of a lesson, for its instructor: choose a file, watch it go up, watch it become ready, replace it.

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { Lesson } from '../api/types';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { AssetStatus } from './AssetStatus';
import { DropZone } from './DropZone';
import { UploadProgress } from './UploadProgress';
import { startUpload } from './uploads';
import { useUpload } from './useUploads';

export function LessonMedia({ lesson }: { lesson: Lesson }) {
  const queries = useQueryClient();
  const upload = useUpload(lesson.id);
  const [file, setFile] = useState<File | null>(null);
  const asset = lesson.asset && lesson.asset.state !== 'deleted' ? lesson.asset : null;
  const unfinished = asset?.state === 'uploading' || asset?.state === 'awaiting_upload';
  const inUse = asset !== null && !unfinished && asset.state !== 'failed';

  const start = (chosen: File) => {
    setFile(null);
    void startUpload(lesson, chosen);
  };

  if (upload) {
    return <UploadProgress upload={upload} onCancelled={() => void queries.invalidateQueries({ queryKey: ['lesson', lesson.id] })} />;
  }
  if (!asset) return <DropZone title="Drop the lecture here" onFile={start} />;
  if (unfinished) {
    return (
      <>
        <p className="notice" role="status" data-testid="unfinished">
          An upload was interrupted. Choose the same file again: it goes on where it stopped.
        </p>
        <DropZone title="Drop the same file to go on" onFile={start} />
      </>
    );
  }
  return (
    <>
      <AssetStatus key={asset.id} assetId={asset.id} lessonId={lesson.id} />
      <details className="replace" open={asset.state === 'failed'}>
        <summary>{asset.state === 'failed' ? 'Upload another file' : 'Replace the lecture'}</summary>
        <DropZone title="Drop the new lecture here" onFile={(chosen) => (inUse ? setFile(chosen) : start(chosen))} />
      </details>
      <ConfirmDialog
        open={file !== null}
        title="Replace the lecture?"
        message="The lesson cannot be played from now until the new file is uploaded and processed."
        confirmLabel="Replace"
        onConfirm={() => file && start(file)}
        onCancel={() => setFile(null)}
      />
    </>
  );
}
