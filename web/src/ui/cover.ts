// From an id to the numbers of its cover.

export interface Cover {
  hue: number;
  turn: number;
  rings: { x: number; y: number; r: number; light: number }[];
}

// Bottle green, sea, plum, brick, ochre, slate: calm together, and white text reads on each.
const HUES = [163, 192, 326, 10, 32, 220];

export function coverFor(id: string): Cover {
  // FNV-1a, 32 bits.
  let hash = 0x811c9dc5;
  for (let at = 0; at < id.length; at += 1) hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193) >>> 0;
  // The low bits of FNV are its weakest.
  const bits = (from: number, below: number) => ((hash ^ (hash >>> 15)) >>> from) % below;
  const centre = { x: 40 + bits(3, 240), y: 150 + bits(9, 60) };
  return {
    hue: HUES[bits(0, HUES.length)] ?? 163,
    turn: bits(6, 4) * 90 === 90 ? 180 : 0,
    rings: [0, 1, 2, 3, 4].map((ring) => ({ ...centre, r: 44 + ring * 34, light: 28 - ring * 5 })),
  };
}
