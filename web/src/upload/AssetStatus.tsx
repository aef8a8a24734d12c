// What is happening to an uploaded lecture: the steps, live, and the reason and the way on when it failed.

import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { retryAsset, trimAsset } from '../api/assets';
import { messageFor } from '../api/problem';
import { assetQuery } from '../api/queries';
import { ErrorState } from '../ui/ErrorState';
import { duration, fileSize, percent } from '../ui/format';
import { Icon } from '../ui/Icon';
import { ProgressBar } from '../ui/ProgressBar';
import { Skeleton } from '../ui/Skeleton';
import { useTask } from '../ui/useTask';
import { ProcessingSteps } from './ProcessingSteps';
import { partLabel, pointTexts, readPoints, type PointTexts } from './trim';
import { TrimFields } from './TrimFields';
import { useAsset } from './useAsset';

export function AssetStatus({ assetId, lessonId }: { assetId: string; lessonId: string }) {
  const { asset, error, connected, reload } = useAsset(assetId, lessonId);
  const queries = useQueryClient();
  // What the instructor has changed about the points, if anything.
  const [points, setPoints] = useState<PointTexts | null>(null);
  const misread = points === null ? null : readPoints(points).problem;
  const retry = useTask({
    run: async () => {
      if (points !== null) await trimAsset(assetId, readPoints(points).trim);
      return retryAsset(assetId);
    },
    done: 'Processing starts again.',
    onDone: (next) => queries.setQueryData(assetQuery(assetId).queryKey, next),
  });

  if (error) return <ErrorState title="The lecture's state could not be read" message={messageFor(error)} onRetry={reload} />;
  if (!asset) return <Skeleton kind="row" />;

  const facts = [
    asset.filename,
    asset.source_bytes ? fileSize(asset.source_bytes) : null,
    asset.duration_ms ? duration(asset.duration_ms) : null,
    asset.trim ? partLabel(asset.trim) : null,
  ].filter((fact) => fact !== null && fact !== '');
  const pictures = asset.renditions.filter((rendition) => rendition.kind === 'video');

  return (
    <div className="asset" data-testid="asset" data-state={asset.state}>
      <p className="upload-name">{facts.join(' · ')}</p>
      {asset.state !== 'failed' && <ProcessingSteps asset={asset} />}
      {(asset.state === 'processing' || asset.state === 'playable') && (
        <div className="asset-bar">
          <ProgressBar label="Processing" share={asset.progress} />
          <span className="small" data-testid="processing-percent">
            {percent(asset.progress)}
          </span>
        </div>
      )}
      {asset.state === 'playable' && (
        <p className="muted" data-testid="playable">
          Learners can already press play{asset.playable_ms ? `: the first ${duration(asset.playable_ms)} are there, and more follows` : ''}.
        </p>
      )}
      {!connected && asset.state !== 'ready' && asset.state !== 'failed' && (
        <p className="muted" role="status">
          The connection is lost; processing goes on. Trying again…
        </p>
      )}
      {asset.state === 'ready' && (
        <p className="muted small">
          {pictures.length > 0
            ? `Encrypted, in ${pictures.map((rendition) => rendition.name).join(', ')}`
            : 'Encrypted, sound only'}
        </p>
      )}
      {asset.why && asset.why.length > 0 && asset.state !== 'failed' && (
        <details className="small muted" data-testid="why">
          <summary>Why these qualities</summary>
          <ul>
            {asset.why.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </details>
      )}
      {asset.state === 'failed' && (
        <div className="notice notice-bad" role="alert" data-testid="asset-failure" data-code={asset.failure?.code}>
          <p className="notice-title">
            <Icon name="warning" size={18} /> This lecture could not be processed
          </p>
          <p>{asset.failure?.message ?? 'The reason is not known.'}</p>
          {asset.failure?.code === 'trim_outside_source' && (
            <TrimFields points={points ?? pointTexts(asset.trim)} onChange={setPoints} />
          )}
          {misread !== null && <p role="status">{misread}</p>}
          {asset.failure?.retryable && (
            <button type="button" className="button" disabled={retry.isPending || misread !== null} onClick={() => retry.mutate()} data-testid="asset-retry">
              <Icon name="retry" size={18} /> Try again
            </button>
          )}
        </div>
      )}
    </div>
  );
}
