// The waveform of a lecture: reads `audiowaveform` data of version 2, and makes an outline of it.

export interface Waveform {
  /** Seconds that a point stands for. */
  secondsPerPoint: number;
  /** Least and greatest value of each point after each other, -128 to 127. */
  values: Int8Array;
}

const HEADER_BYTES = 24;

/** Null for anything else than eight bits and one channel of version 2. */
export function readWaveform(file: ArrayBuffer): Waveform | null {
  if (file.byteLength < HEADER_BYTES) return null;
  const header = new DataView(file, 0, HEADER_BYTES);
  const [version, flags, sampleRate, samplesPerPoint, points, channels] = [0, 4, 8, 12, 16, 20].map((at) => header.getUint32(at, true)) as [number, number, number, number, number, number];
  const fits = version === 2 && flags === 1 && channels === 1 && sampleRate > 0 && samplesPerPoint > 0;
  if (!fits || points === 0 || file.byteLength !== HEADER_BYTES + 2 * points) return null;
  return { secondsPerPoint: samplesPerPoint / sampleRate, values: new Int8Array(file, HEADER_BYTES) };
}

/** A sound this quiet fills the height; of what is quieter noise would be made to look like speech. */
const QUIETEST_PEAK = 16;

/** How loud it is in each of so many equal parts of a time, 0 to 1; 1 is the loudest of all. A part after the end is silent. */
export function loudness({ secondsPerPoint, values }: Waveform, seconds: number, parts: number): number[] {
  const points = values.length / 2;
  const perPart = seconds / secondsPerPoint / parts;
  const peak = (point: number) => Math.max(-(values[2 * point] ?? 0), values[2 * point + 1] ?? 0, 0);
  const peaks = Array.from({ length: parts }, (_, part) => {
    const first = Math.floor(part * perPart);
    // A part shorter than a point shows the point that it is in.
    const end = Math.min(points, Math.max(first + 1, Math.floor((part + 1) * perPart)));
    let most = 0;
    for (let point = first; point < end; point += 1) most = Math.max(most, peak(point));
    return most;
  });
  const loudest = Math.max(QUIETEST_PEAK, ...peaks);
  return peaks.map((value) => value / loudest);
}

/** An outline that stands on the lower edge, `height` high and one wide for each value: the `d` of an SVG path. */
export function outline(levels: readonly number[], height: number): string {
  const steps = levels.map((level, at) => `V${round(height * (1 - level))}H${at + 1}`);
  return `M0 ${height}${steps.join('')}V${height}Z`;
}

const round = (value: number) => Math.round(value * 100) / 100;
