// Where learners are in their lessons.

import { session } from './browserSession';
import { request, send } from './client';
import type { Progress } from './types';

export interface ProgressReport {
  position_ms: number;
  completed?: boolean;
}

export async function listProgress(userId: string, signal?: AbortSignal): Promise<Progress[]> {
  const answer = await request<{ items: Progress[] }>('GET', `/users/${userId}/progress`, { signal });
  return answer.items;
}

export function putProgress(lessonId: string, report: ProgressReport): Promise<Progress> {
  return request('PUT', `/progress/${lessonId}`, { body: report });
}

/** Marks, or takes the mark back; the place in the lesson stays. */
export async function markCompleted(lessonId: string, completed: boolean, positionMs: number): Promise<void> {
  await send('PUT', `/progress/${lessonId}`, { body: { position_ms: positionMs, completed } });
}

/** The last report, sent while the page goes away: nobody waits for its answer. */
export function putProgressOnLeaving(lessonId: string, report: ProgressReport): void {
  const token = session.currentToken();
  if (token === null) return;
  fetch(`/api/v1/progress/${lessonId}`, {
    method: 'PUT',
    keepalive: true,
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
    body: JSON.stringify(report),
  }).catch(() => undefined);
}
