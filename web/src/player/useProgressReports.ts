// Watches a video element and reports where the learner is.

import { useEffect, useEffectEvent, type RefObject } from 'react';
import { putProgress, putProgressOnLeaving } from '../api/progress';
import { ProgressReporter, REPORT_EVERY_MS } from './progressReporter';

interface ProgressNeeds {
  video: RefObject<HTMLVideoElement | null>;
  lessonId: string;
  /** How long the lecture will be at least, while the element knows only what has been made of it. */
  leastMs: number;
  completed: boolean;
  /** Something was stored. */
  onProgress: () => void;
}

export function useProgressReports({ video, lessonId, leastMs, completed, onProgress }: ProgressNeeds): void {
  const stored = useEffectEvent(onProgress);
  const wasCompleted = useEffectEvent(() => completed);

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    // Until it plays, the element's position says nothing: it must not overwrite what is stored.
    let begun = false;
    let lastMs = 0;
    let durationMs = Number.NaN;

    const send = (report: Parameters<typeof putProgress>[1]) => {
      // A lost report does no harm: the next one says more.
      putProgress(lessonId, report).then(stored, () => undefined);
    };
    const reporter = new ProgressReporter(send, wasCompleted());
    const remember = () => {
      if (element.readyState === 0) return;
      lastMs = element.currentTime * 1000;
      durationMs = Math.max(element.duration * 1000, leastMs);
    };
    const report = () => {
      remember();
      if (begun) reporter.report(lastMs, durationMs);
    };
    const leave = () => {
      remember();
      if (begun) reporter.report(lastMs, durationMs, (last) => putProgressOnLeaving(lessonId, last));
    };
    const onPlaying = () => {
      begun = true;
    };
    const onVisibility = () => {
      if (document.visibilityState === 'hidden') leave();
    };

    element.addEventListener('playing', onPlaying);
    element.addEventListener('timeupdate', remember);
    element.addEventListener('pause', report);
    element.addEventListener('seeked', report);
    element.addEventListener('ended', report);
    document.addEventListener('visibilitychange', onVisibility);
    addEventListener('pagehide', leave);
    const timer = setInterval(() => {
      if (!element.paused) report();
    }, REPORT_EVERY_MS);

    return () => {
      clearInterval(timer);
      removeEventListener('pagehide', leave);
      document.removeEventListener('visibilitychange', onVisibility);
      element.removeEventListener('ended', report);
      element.removeEventListener('seeked', report);
      element.removeEventListener('pause', report);
      element.removeEventListener('timeupdate', remember);
      element.removeEventListener('playing', onPlaying);
      leave();
      stored();
    };
  }, [video, lessonId, leastMs]);
}
