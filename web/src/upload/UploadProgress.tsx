// One upload under way: how far, how fast, how long still; pause, resume, cancel, try again.

import { useState } from 'react';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { duration, fileSize, percent } from '../ui/format';
import { ProgressBar } from '../ui/ProgressBar';
import { cancelUpload, pauseUpload, resumeUpload, retryUpload, type LessonUpload, type UploadStatus } from './uploads';

const words: Record<UploadStatus, string> = {
  starting: 'Starting…',
  uploading: 'Uploading',
  paused: 'Paused',
  reconnecting: 'Connection lost, trying again…',
  failed: 'Stopped',
  done: 'Uploaded',
};

export function UploadProgress({ upload, onCancelled }: { upload: LessonUpload; onCancelled: () => void }) {
  const [asking, setAsking] = useState(false);
  const { status, sent, size, speed, leftMs } = upload;
  const share = size > 0 ? sent / size : 0;
  const active = status === 'uploading' || status === 'reconnecting' || status === 'starting';
  const id = upload.lessonId;

  return (
    <div className="upload" data-testid="upload" data-status={status}>
      <p className="upload-name">{upload.filename}</p>
      <div className="upload-line">
        <span role="status">{words[status]}</span>
        <span data-testid="upload-percent">{percent(share)}</span>
      </div>
      <ProgressBar label={`Upload of ${upload.filename}`} share={share} />
      <div className="upload-line muted small">
        <span>
          {fileSize(sent)} of {fileSize(size)}
          {speed !== null && ` · ${fileSize(speed)}/s`}
        </span>
        <span>{leftMs !== null && status === 'uploading' && `${duration(Math.max(1000, leftMs))} left`}</span>
      </div>
      {upload.problem && (
        <p className="notice notice-bad" role="alert">
          {upload.problem}
        </p>
      )}
      <div className="upload-actions">
        {active && (
          <button type="button" className="button button-quiet" onClick={() => pauseUpload(id)} data-testid="upload-pause">
            Pause
          </button>
        )}
        {status === 'paused' && (
          <button type="button" className="button" onClick={() => resumeUpload(id)} data-testid="upload-resume">
            Resume
          </button>
        )}
        {status === 'failed' && (
          <button type="button" className="button" onClick={() => retryUpload(id)} data-testid="upload-retry">
            Try again
          </button>
        )}
        {status !== 'done' && (
          <button type="button" className="button button-quiet" onClick={() => setAsking(true)} data-testid="upload-cancel">
            Cancel
          </button>
        )}
      </div>
      <ConfirmDialog
        open={asking}
        title="Cancel this upload?"
        message="What was sent so far is thrown away."
        confirmLabel="Cancel upload"
        onConfirm={() => {
          setAsking(false);
          cancelUpload(id);
          onCancelled();
        }}
        onCancel={() => setAsking(false)}
      />
    </div>
  );
}
