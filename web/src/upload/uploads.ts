// The uploads under way in this tab. They outlive the page that started them: an instructor may look elsewhere while
// a lecture goes up.

import { ApiError, asSentence, messageFor } from '../api/problem';
import type { Trim } from '../api/types';
import { SpeedMeter } from './speedMeter';
import type { TusUpload } from './tusUpload';

export type UploadStatus = 'starting' | 'uploading' | 'paused' | 'reconnecting' | 'failed' | 'done';

export interface LessonUpload {
  lessonId: string;
  courseId: string;
  lessonTitle: string;
  filename: string;
  /** Bytes. */
  size: number;
  sent: number;
  status: UploadStatus;
  /** Bytes a second. */
  speed: number | null;
  leftMs: number | null;
  assetId: string | null;
  /** Why it failed. */
  problem: string | null;
}

interface Running {
  view: LessonUpload;
  meter: SpeedMeter;
  tus: TusUpload | null;
}

const running = new Map<string, Running>();
const listeners = new Set<() => void>();
let views: readonly LessonUpload[] = [];

function changed(): void {
  views = Array.from(running.values(), ({ view }) => view);
  for (const listener of listeners) listener();
}

function update(lessonId: string, part: Partial<LessonUpload>): void {
  const upload = running.get(lessonId);
  if (!upload) return;
  upload.view = { ...upload.view, ...part };
  changed();
}

export function subscribeUploads(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const currentUploads = (): readonly LessonUpload[] => views;

/** `trim` holds for a new upload: one that goes on has the points that it was begun with. */
export async function startUpload(
  lesson: { id: string; course_id: string; title: string },
  file: File,
  trim: Trim | null,
): Promise<void> {
  if (running.has(lesson.id)) return;
  const upload: Running = {
    meter: new SpeedMeter(),
    tus: null,
    view: {
      lessonId: lesson.id,
      courseId: lesson.course_id,
      lessonTitle: lesson.title,
      filename: file.name,
      size: file.size,
      sent: 0,
      status: 'starting',
      speed: null,
      leftMs: null,
      assetId: null,
      problem: null,
    },
  };
  running.set(lesson.id, upload);
  changed();
  try {
    const { startTusUpload } = await import('./tusUpload');
    // Cancelled while the code was loading.
    if (running.get(lesson.id) !== upload) return;
    upload.tus = startTusUpload(lesson.id, file, trim, eventsFor(lesson.id, upload));
  } catch (error) {
    update(lesson.id, { status: 'failed', problem: messageFor(error) });
  }
}

function eventsFor(lessonId: string, upload: Running) {
  return {
    onProgress(sent: number) {
      if (upload.view.status === 'paused' || upload.view.status === 'failed') return;
      upload.meter.add(performance.now(), sent);
      update(lessonId, { status: 'uploading', sent, speed: upload.meter.speed(), leftMs: upload.meter.timeLeft(upload.view.size) });
    },
    onAsset: (assetId: string) => update(lessonId, { assetId }),
    onReconnecting() {
      upload.meter.reset();
      if (upload.view.status !== 'paused') update(lessonId, { status: 'reconnecting', speed: null, leftMs: null });
    },
    onFailed(error: ApiError) {
      upload.meter.reset();
      update(lessonId, { status: 'failed', speed: null, leftMs: null, problem: uploadProblem(error) });
    },
    onDone: () => update(lessonId, { status: 'done', sent: upload.view.size }),
  };
}

export function uploadProblem(error: ApiError): string {
  if (error.isNetwork) return 'The connection was lost for too long. What was sent is kept: try again to go on.';
  if (error.status === 413) return asSentence(error.message) || 'The file is larger than this site accepts.';
  if (error.status === 404 || error.status === 410) return 'The server no longer has this upload. Try again to start it afresh.';
  return messageFor(error);
}

export function pauseUpload(lessonId: string): void {
  const upload = running.get(lessonId);
  if (!upload) return;
  upload.tus?.pause();
  upload.meter.reset();
  update(lessonId, { status: 'paused', speed: null, leftMs: null });
}

export function resumeUpload(lessonId: string): void {
  update(lessonId, { status: 'starting' });
  running.get(lessonId)?.tus?.resume();
}

export function retryUpload(lessonId: string): void {
  update(lessonId, { status: 'starting', problem: null });
  running.get(lessonId)?.tus?.retry();
}

export function cancelUpload(lessonId: string): void {
  running.get(lessonId)?.tus?.cancel();
  running.delete(lessonId);
  changed();
}

/** Forgets a finished upload. */
export function forgetUpload(lessonId: string): void {
  running.delete(lessonId);
  changed();
}

addEventListener('beforeunload', (event) => {
  if (views.some((upload) => upload.status !== 'done' && upload.status !== 'failed')) event.preventDefault();
});

// The connection is back: go on with what gave up waiting for it.
addEventListener('online', () => {
  for (const upload of views) if (upload.status === 'failed') retryUpload(upload.lessonId);
});
