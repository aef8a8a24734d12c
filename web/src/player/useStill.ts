// A still of a lesson as an address for an image. It is content, so it is asked for with the access token; a page that may not
// see it, or a lesson without stills, has none.

import { useEffect, useState } from 'react';
import { send } from '../api/client';

export type StillFile = 'poster.jpg' | 'chapters.jpg';

export function useStill(lessonId: string, file: StillFile, wanted: boolean): string | null {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    if (!wanted) return;
    const abort = new AbortController();
    let made: string | null = null;
    const load = async () => {
      const response = await send('GET', `/lessons/${lessonId}/stills/${file}`, { signal: abort.signal });
      const blob = await response.blob();
      if (abort.signal.aborted) return;
      made = URL.createObjectURL(blob);
      setUrl(made);
    };
    // Nobody misses a still: the page has something to show in its place.
    load().catch(() => undefined);
    return () => {
      abort.abort();
      setUrl(null);
      if (made !== null) URL.revokeObjectURL(made);
    };
  }, [lessonId, file, wanted]);
  return url;
}
