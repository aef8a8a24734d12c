// The quality menu's entries, from the renditions in the multivariant playlist.

export interface QualityLevel {
  width: number;
  height: number;
  /** Bits per second. */
  bitrate: number;
}

export interface QualityChoice {
  /** Index among the player's levels; -1 for automatic. */
  level: number;
  label: string;
}

/** Best first. Renditions of the same height are told apart by their bit rate. */
export function qualityChoices(levels: readonly QualityLevel[]): QualityChoice[] {
  // A portrait picture is named by its short side, as people know it.
  const lines = (level: QualityLevel) => Math.min(level.width || level.height, level.height);
  const entries = levels.map((level, index) => ({ level: index, size: lines(level), bitrate: level.bitrate }));
  entries.sort((a, b) => b.size - a.size || b.bitrate - a.bitrate);
  return entries.map(({ level, size, bitrate }) => {
    const twin = entries.some((other) => other.level !== level && other.size === size);
    const rate = bitrate >= 1_000_000 ? `${(bitrate / 1_000_000).toFixed(1)} Mbit/s` : `${Math.round(bitrate / 1000)} kbit/s`;
    if (size === 0) return { level, label: rate };
    return { level, label: twin ? `${size}p, ${rate}` : `${size}p` };
  });
}
