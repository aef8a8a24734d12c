// The uploads under way, for components.

import { useSyncExternalStore } from 'react';
import { currentUploads, subscribeUploads, type LessonUpload } from './uploads';

export const useUploads = (): readonly LessonUpload[] => useSyncExternalStore(subscribeUploads, currentUploads);

export const useUpload = (lessonId: string): LessonUpload | undefined =>
  useUploads().find((upload) => upload.lessonId === lessonId);
