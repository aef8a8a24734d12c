// A course's cover, drawn from its id: every course looks like itself, and no picture needs to be uploaded.

import { coverFor } from './cover';

export function CourseCover({ id }: { id: string }) {
  const { hue, turn, rings } = coverFor(id);
  return (
    <svg className="cover" viewBox="0 0 320 160" preserveAspectRatio="xMidYMid slice" aria-hidden="true" focusable="false">
      <rect width="320" height="160" fill={`hsl(${hue} 34% 30%)`} />
      <g transform={`rotate(${turn} 160 80)`} fill="none" strokeWidth="13">
        {rings.map(({ x, y, r, light }) => (
          <circle key={r} cx={x} cy={y} r={r} stroke={`hsl(${(hue + light / 3) % 360} 36% ${34 + light / 2}%)`} />
        ))}
      </g>
    </svg>
  );
}
