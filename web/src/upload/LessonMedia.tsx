// The lecture of a lesson, for its instructor: choose a file, watch it go up, watch it become ready, replace it.

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { trimAsset } from '../api/assets';
import { messageFor } from '../api/problem';
import type { Lesson } from '../api/types';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { FormError } from '../ui/FormError';
import { AssetStatus } from './AssetStatus';
import { DropZone } from './DropZone';
import { NO_POINTS, readPoints } from './trim';
import { TrimFields } from './TrimFields';
import { UploadProgress } from './UploadProgress';
import { startUpload } from './uploads';
import { useUpload } from './useUploads';

export function LessonMedia({ lesson }: { lesson: Lesson }) {
  const queries = useQueryClient();
  const upload = useUpload(lesson.id);
  const [file, setFile] = useState<File | null>(null);
  const [points, setPoints] = useState(NO_POINTS);
  const [problem, setProblem] = useState<string | null>(null);
  const asset = lesson.asset && lesson.asset.state !== 'deleted' ? lesson.asset : null;
  const unfinished = asset?.state === 'uploading' || asset?.state === 'awaiting_upload';
  const inUse = asset !== null && !unfinished && asset.state !== 'failed';

  const start = async (chosen: File) => {
    setFile(null);
    const { trim } = readPoints(points);
    if (unfinished && trim) {
      // An upload that goes on does not send its points again.
      try {
        await trimAsset(asset.id, trim);
      } catch (error) {
        setProblem(messageFor(error));
        return;
      }
    }
    await startUpload(lesson, chosen, trim);
  };

  const take = (chosen: File) => {
    const refused = readPoints(points).problem;
    setProblem(refused);
    if (refused !== null) return;
    if (inUse) setFile(chosen);
    else void start(chosen);
  };

  const part = (
    <details className="trim small" data-testid="trim">
      <summary>Use only a part of the recording</summary>
      <TrimFields points={points} onChange={setPoints} />
      <p className="muted">
        Times in the recording, like 4:00. Set them before you choose the file: learners get this part and nothing else, and times of captions
        that you add count from where it begins.
      </p>
    </details>
  );

  if (upload) {
    return <UploadProgress upload={upload} onCancelled={() => void queries.invalidateQueries({ queryKey: ['lesson', lesson.id] })} />;
  }
  const refusal = <FormError message={problem} />;
  if (!asset) {
    return (
      <>
        <DropZone title="Drop the lecture here" onFile={take} />
        {refusal}
        {part}
      </>
    );
  }
  if (unfinished) {
    return (
      <>
        <p className="notice" role="status" data-testid="unfinished">
          An upload was interrupted. Choose the same file again: it goes on where it stopped.
        </p>
        <DropZone title="Drop the same file to go on" onFile={take} />
        {refusal}
        {part}
      </>
    );
  }
  return (
    <>
      <AssetStatus key={asset.id} assetId={asset.id} lessonId={lesson.id} />
      <details className="replace" open={asset.state === 'failed'}>
        <summary>{asset.state === 'failed' ? 'Upload another file' : 'Replace the lecture'}</summary>
        <DropZone title="Drop the new lecture here" onFile={take} />
        {refusal}
        {part}
      </details>
      <ConfirmDialog
        open={file !== null}
        title="Replace the lecture?"
        message="The lesson cannot be played from now until the new file is uploaded and processed."
        confirmLabel="Replace"
        onConfirm={() => file && void start(file)}
        onCancel={() => setFile(null)}
      />
    </>
  );
}
