// One resumable upload over tus, by Uppy. Loaded only when somebody uploads.

import Uppy from '@uppy/core';
import Tus, { type TusBody } from '@uppy/tus';
import { session } from '../api/browserSession';
import { networkError, problemFrom, type ApiError } from '../api/problem';
import type { Trim } from '../api/types';

export interface TusUploadEvents {
  /** Bytes the server has, or is being sent. */
  onProgress(sent: number): void;
  /** The server made the asset. */
  onAsset(assetId: string): void;
  /** The connection is lost; the next attempt comes by itself. */
  onReconnecting(): void;
  onFailed(error: ApiError): void;
  onDone(): void;
}

export interface TusUpload {
  pause(): void;
  resume(): void;
  /** Tries again after a failure. */
  retry(): void;
  /** Ends it, also on the server. */
  cancel(): void;
}

// type, not interface: Uppy wants an index signature.
type UploadMeta = { filename: string; filetype: string; lesson_id: string; trim_in_ms?: string; trim_out_ms?: string };

/** Bounds one request, for the body limits of proxies in between; a token is checked for each. */
const PART_BYTES = 64 * 1024 * 1024;
const RETRY_DELAYS_MS = [0, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000, 60_000, 60_000];

export function startTusUpload(lessonId: string, file: File, trim: Trim | null, events: TusUploadEvents): TusUpload {
  const meta: UploadMeta = { filename: file.name, filetype: file.type || 'application/octet-stream', lesson_id: lessonId };
  if (trim) meta.trim_in_ms = String(trim.in_ms);
  if (trim?.out_ms != null) meta.trim_out_ms = String(trim.out_ms);
  let sentToken: string | null = null;
  let refusedToken: string | null = null;

  // The id is part of the fingerprint: the same file for another lesson is another upload.
  const uppy = new Uppy<UploadMeta, TusBody>({ id: `lesson-${lessonId}`, autoProceed: false, restrictions: { maxNumberOfFiles: 1 } });
  uppy.use(Tus<UploadMeta, TusBody>, {
    endpoint: new URL('/uploads', location.origin).href,
    chunkSize: PART_BYTES,
    retryDelays: RETRY_DELAYS_MS,
    removeFingerprintOnSuccess: true,
    allowedMetaFields: Object.keys(meta),
    async onBeforeRequest(request) {
      const token = refusedToken === null ? await session.token() : await session.renew(refusedToken);
      refusedToken = null;
      sentToken = token;
      if (token !== null) request.setHeader('Authorization', `Bearer ${token}`);
    },
    onAfterResponse(_request, response) {
      const assetId = response.getHeader('Lectern-Asset-Id');
      if (assetId) events.onAsset(assetId);
    },
    onShouldRetry(error, attempt, _options, next) {
      if (error.originalResponse?.getStatus() === 401 && attempt === 0) {
        refusedToken = sentToken;
        return true;
      }
      const again = next(error);
      if (again) events.onReconnecting();
      return again;
    },
  });

  uppy.on('upload-progress', (_file, progress) => events.onProgress(progress.bytesUploaded || 0));
  uppy.on('upload-success', () => {
    events.onDone();
    // Uppy is still telling its own parts.
    setTimeout(() => uppy.destroy());
  });
  uppy.on('upload-error', (_file, _error, response) => {
    const xhr = response?.body?.xhr;
    events.onFailed(xhr && xhr.status > 0 ? problemFrom(xhr.status, xhr.responseText, xhr.getResponseHeader('Retry-After')) : networkError());
  });

  const id = uppy.addFile({
    name: file.name,
    type: file.type || 'application/octet-stream',
    data: file,
    source: 'lesson',
    meta,
  });
  void uppy.upload();

  return {
    pause() {
      if (!uppy.getFile(id).isPaused) uppy.pauseResume(id);
    },
    resume() {
      if (uppy.getFile(id).isPaused) uppy.pauseResume(id);
    },
    retry() {
      void uppy.retryUpload(id);
    },
    cancel() {
      uppy.removeFile(id);
      setTimeout(() => uppy.destroy());
    },
  };
}
