// An asset, read once and then followed live until nothing more happens to it.

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { followAsset, isFinal } from '../api/assets';
import { assetQuery } from '../api/queries';
import type { Asset } from '../api/types';

interface AssetView {
  asset: Asset | undefined;
  error: Error | null;
  /** False while the live connection is lost. */
  connected: boolean;
  reload: () => void;
}

export function useAsset(assetId: string, lessonId: string): AssetView {
  const queries = useQueryClient();
  const query = useQuery(assetQuery(assetId));
  const [connected, setConnected] = useState(true);
  const live = query.data !== undefined && !isFinal(query.data.state);

  useEffect(() => {
    if (!live) return;
    const stopping = new AbortController();
    const follower = {
      onConnected: setConnected,
      onAsset(asset: Asset) {
        const before = queries.getQueryData(assetQuery(assetId).queryKey);
        queries.setQueryData(assetQuery(assetId).queryKey, asset);
        if (before?.state !== asset.state) {
          void queries.invalidateQueries({ queryKey: ['lesson', lessonId] });
          void queries.invalidateQueries({ queryKey: ['lessons'] });
        }
      },
    };
    followAsset(assetId, follower, stopping.signal).catch(() => {
      // Refused: what the asset is now, the query says.
      void queries.invalidateQueries({ queryKey: assetQuery(assetId).queryKey });
    });
    return () => stopping.abort();
  }, [assetId, lessonId, live, queries]);

  return { asset: query.data, error: query.data ? null : query.error, connected, reload: () => void query.refetch() };
}
