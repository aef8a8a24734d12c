// The chapters of a lecture as a list of places to go to.

import type { Chapter, ChapterSheet } from '../api/types';
import { clock } from '../ui/format';
import { chapterAt, chapterTitle } from './chapters';
import { ChapterStill } from './ChapterStill';

interface ChapterListProps {
  chapters: Chapter[];
  sheet: ChapterSheet | null;
  /** Where the picture with the stills is, once it is there. */
  sheetUrl: string | null;
  /** Where playing stands; null before it begins. */
  nowMs: number | null;
  onChoose: (startMs: number) => void;
}

export function ChapterList({ chapters, sheet, sheetUrl, nowMs, onChoose }: ChapterListProps) {
  if (chapters.length === 0) return null;
  const current = nowMs === null ? -1 : chapterAt(chapters, nowMs);
  return (
    <nav className="chapters" aria-label="Chapters" data-testid="chapters">
      <h2 className="chapters-title">Chapters</h2>
      <ol className="chapters-list">
        {chapters.map((chapter, index) => (
          <li key={chapter.start_ms}>
            <button
              type="button"
              className="chapter"
              aria-current={index === current ? 'true' : undefined}
              onClick={() => onChoose(chapter.start_ms)}
              data-testid="chapter"
            >
              <ChapterStill still={chapter.still} sheet={sheet} sheetUrl={sheetUrl} />
              <span className="chapter-words">
                <span className="chapter-time">{clock(chapter.start_ms)}</span>
                <span className="chapter-name">{chapterTitle(chapter, index)}</span>
              </span>
            </button>
          </li>
        ))}
      </ol>
    </nav>
  );
}
