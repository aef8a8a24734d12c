// One picture of a sheet of pictures. The title beside it says what it is, so that it has no text of its own.

import type { Chapter, ChapterSheet } from '../api/types';

/** Width at which it is shown, pixels. */
const WIDTH = 120;

interface ChapterStillProps {
  still: Chapter['still'];
  sheet: ChapterSheet | null;
  sheetUrl: string | null;
}

export function ChapterStill({ still, sheet, sheetUrl }: ChapterStillProps) {
  if (!still || !sheet || sheetUrl === null) return <span className="chapter-still" aria-hidden="true" />;
  // A portrait picture is as high as a wide one.
  const scale = Math.min(WIDTH / still.width, (WIDTH * 9) / 16 / still.height);
  return (
    <span className="chapter-still" aria-hidden="true">
      <span
        className="chapter-picture"
        style={{
          width: still.width * scale,
          height: still.height * scale,
          backgroundImage: `url("${sheetUrl}")`,
          backgroundSize: `${sheet.width * scale}px ${sheet.height * scale}px`,
          backgroundPosition: `${-still.x * scale}px ${-still.y * scale}px`,
        }}
      />
    </span>
  );
}
