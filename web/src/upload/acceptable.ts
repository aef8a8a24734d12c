// What can be told about a file before a byte is sent.

import { fileSize } from '../ui/format';

export const ACCEPT = 'video/*,audio/*,.mkv,.mov,.mp4,.m4v,.webm,.avi,.mts,.m2ts,.ts,.mpg,.mpeg,.wmv,.flv,.m4a,.mp3,.wav,.flac,.ogg,.opus';

const endings = new Set(
  ACCEPT.split(',')
    .filter((entry) => entry.startsWith('.'))
    .map((entry) => entry.slice(1)),
);

/** Why this file cannot be a lecture; null when it may be one. The server looks inside. */
export function refuseFile(file: { name: string; size: number; type: string }, maxBytes: number | null): string | null {
  if (file.size === 0) return `${file.name} is empty. Check the export and choose it again.`;
  if (maxBytes !== null && file.size > maxBytes) {
    return `${file.name} has ${fileSize(file.size)}; this site takes at most ${fileSize(maxBytes)}. Export it smaller, or split it into several lessons.`;
  }
  const ending = file.name.toLowerCase().split('.').at(-1) ?? '';
  const media = /^(video|audio)\//.test(file.type) || endings.has(ending);
  // No type and no known ending: the browser does not know it, the server may.
  if (!media && file.type !== '' && file.type !== 'application/octet-stream') {
    return `${file.name} is not a video or audio file. Choose an MP4, MOV, MKV, WebM or similar file.`;
  }
  return null;
}
