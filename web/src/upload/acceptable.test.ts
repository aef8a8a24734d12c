import { expect, it } from 'vitest';
import { refuseFile } from './acceptable';

const file = (name: string, type: string, size = 1000) => ({ name, type, size });

it.each([
  [file('a.mp4', 'video/mp4'), null],
  [file('a.MKV', ''), null],
  [file('a.mkv', 'application/x-matroska'), null],
  [file('a.mp3', 'audio/mpeg'), null],
  [file('unknown', ''), null],
  [file('a.bin', 'application/octet-stream'), null],
  [file('notes.pdf', 'application/pdf'), 'not a video'],
  [file('a.mp4', 'video/mp4', 0), 'empty'],
  [file('a.mp4', 'video/mp4', 6_000_000_000), 'at most 5 GB'],
])('%#', (one, part) => {
  const reason = refuseFile(one, 5_000_000_000);
  if (part === null) expect(reason).toBeNull();
  else expect(reason).toContain(part);
});

it('knows no limit when the server tells none', () => {
  expect(refuseFile(file('a.mp4', 'video/mp4', 1e15), null)).toBeNull();
});
