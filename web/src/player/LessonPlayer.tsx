// The player of one lesson: the start screen, the playing, and what stands there when playing is refused.

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react';
import { beginPlayback } from '../api/playback';
import { ApiError } from '../api/problem';
import { chaptersQuery } from '../api/queries';
import type { PlaybackAnswer } from '../api/types';
import { ChapterList } from './ChapterList';
import { NoticeScreen } from './NoticeScreen';
import './player.css';
import { resumeAt } from './progressReporter';
import { heals, noticeFor, type Notice } from './refusal';
import { StartScreen } from './StartScreen';
import { useStill } from './useStill';

// hls.js and the controls are most of the application's bytes: loaded beside the start screen, not before it.
const loadStage = () => import('./PlayerStage');
const PlayerStage = lazy(async () => ({ default: (await loadStage()).PlayerStage }));

type Phase =
  | { kind: 'idle' }
  | { kind: 'starting' }
  | { kind: 'playing'; answer: PlaybackAnswer; startMs: number; autoplay: boolean }
  | { kind: 'stopped'; notice: Notice; positionMs: number };

interface LessonPlayerProps {
  lessonId: string;
  courseId: string;
  assetId: string;
  /** Whether the viewer may play, as far as the page knows: stills are for them alone. */
  mayOpen: boolean;
  title: string;
  durationMs: number;
  storedMs: number;
  completed: boolean;
  /** Sound without picture; null while the page does not know. */
  audioOnly: boolean | null;
  /** More of it is being made: there are no stills yet. */
  growing: boolean;
}

/** A session healed by itself this recently is not healed again, milliseconds. */
const HEAL_PAUSE_MS = 60_000;

export function LessonPlayer(props: LessonPlayerProps) {
  const { lessonId, courseId, assetId, mayOpen, title, durationMs, storedMs, completed, audioOnly, growing } = props;
  const [phase, setPhase] = useState<Phase>({ kind: 'idle' });
  const healedAt = useRef(-HEAL_PAUSE_MS);
  const queries = useQueryClient();
  const found = useQuery({ ...chaptersQuery(assetId), enabled: mayOpen && assetId !== '', retry: false });
  const chapters = found.data?.items ?? [];
  const sheet = found.data?.sheet ?? null;
  const posterUrl = useStill(lessonId, 'poster.jpg', mayOpen && !audioOnly && !growing && phase.kind !== 'playing');
  const sheetUrl = useStill(lessonId, 'chapters.jpg', mayOpen && sheet !== null);

  useEffect(() => void loadStage().catch(() => undefined), []);

  const begin = useCallback(
    async (fromMs: number | null, autoplay: boolean) => {
      try {
        const answer = await beginPlayback(lessonId);
        setPhase({ kind: 'playing', answer, startMs: fromMs ?? resumeAt(answer.position_ms, durationMs), autoplay });
      } catch (error) {
        setPhase({ kind: 'stopped', notice: noticeFor(error), positionMs: fromMs ?? 0 });
      }
    },
    [lessonId, durationMs],
  );

  const start = (fromMs: number | null) => {
    setPhase({ kind: 'starting' });
    void begin(fromMs, true);
  };

  const onStopped = useCallback(
    (error: ApiError | null, positionMs: number, wasPlaying: boolean) => {
      if (error && heals(error) && performance.now() - healedAt.current > HEAL_PAUSE_MS) {
        healedAt.current = performance.now();
        void begin(positionMs, wasPlaying);
        return;
      }
      setPhase({ kind: 'stopped', notice: noticeFor(error), positionMs });
      // What the page knows of the course may be why: read it again.
      void queries.invalidateQueries({ queryKey: ['course', courseId] });
      void queries.invalidateQueries({ queryKey: ['courses'] });
    },
    [begin, queries, courseId],
  );

  const onProgress = useCallback(() => void queries.invalidateQueries({ queryKey: ['progress'] }), [queries]);

  return (
    <section className={audioOnly ? 'player player-audio' : 'player'} aria-label={`Player: ${title}`} data-testid="player" data-phase={phase.kind}>
      {(phase.kind === 'idle' || phase.kind === 'starting') && (
        <StartScreen
          courseId={courseId}
          posterUrl={posterUrl}
          resumeMs={resumeAt(storedMs, durationMs)}
          starting={phase.kind === 'starting'}
          onStart={() => start(null)}
        />
      )}
      {(phase.kind === 'idle' || phase.kind === 'starting') && (
        <ChapterList chapters={chapters} sheet={sheet} sheetUrl={sheetUrl} nowMs={null} onChoose={start} />
      )}
      {phase.kind === 'playing' && (
        <Suspense fallback={<StartScreen courseId={courseId} resumeMs={0} starting onStart={() => undefined} />}>
          <PlayerStage
            key={phase.answer.session_id}
            answer={phase.answer}
            startMs={phase.startMs}
            autoplay={phase.autoplay}
            lessonId={lessonId}
            courseId={courseId}
            audioOnly={audioOnly}
            completed={completed}
            chapters={chapters}
            sheet={sheet}
            sheetUrl={sheetUrl}
            onStopped={onStopped}
            onProgress={onProgress}
          />
        </Suspense>
      )}
      {phase.kind === 'stopped' && (
        <NoticeScreen
          notice={phase.notice}
          courseId={courseId}
          onPlayAgain={() => start(phase.positionMs > 0 ? phase.positionMs : null)}
        />
      )}
    </section>
  );
}
