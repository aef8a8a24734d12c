// The waveform of a lecture over its time line: something to look at, not to use.

import { useEffect, useState } from 'react';
import { loudness, outline, readWaveform, type Waveform } from './waveform';

const PARTS = 400;
const HEIGHT = 100;

export function WaveformLine({ url, durationMs }: { url: string; durationMs: number }) {
  const [waveform, setWaveform] = useState<Waveform | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    const load = async () => {
      const response = await fetch(url, { signal: abort.signal });
      if (response.ok) setWaveform(readWaveform(await response.arrayBuffer()));
    };
    // Nobody misses it.
    load().catch(() => undefined);
    return () => abort.abort();
  }, [url]);
  if (waveform === null || durationMs <= 0) return null;
  return (
    <svg className="stage-waveform" viewBox={`0 0 ${PARTS} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false" data-testid="waveform">
      <path d={outline(loudness(waveform, durationMs / 1000, PARTS), HEIGHT)} />
    </svg>
  );
}
