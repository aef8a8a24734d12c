import { describe, expect, it } from 'vitest';
import { EventStreamParser } from './eventStream';

const wire = ': hello\nevent: asset\ndata: {"a":\ndata: 1}\nid: 4\n\ndata:x\r\n\r\nevent: lonely\n\ndata\n\n';
const expected = [
  { event: 'asset', data: '{"a":\n1}' },
  { event: 'message', data: 'x' },
  { event: 'message', data: '' },
];

describe('EventStreamParser', () => {
  it('reads a whole stream', () => {
    expect(new EventStreamParser().push(wire)).toEqual(expected);
  });

  it('reads the same however it is cut', () => {
    for (let at = 0; at <= wire.length; at += 1) {
      const parser = new EventStreamParser();
      expect([...parser.push(wire.slice(0, at)), ...parser.push(wire.slice(at))], `cut at ${at}`).toEqual(expected);
    }
    const parser = new EventStreamParser();
    expect([...wire].flatMap((character) => parser.push(character))).toEqual(expected);
  });

  it('gives nothing for an event that never ends', () => {
    expect(new EventStreamParser().push('data: half')).toEqual([]);
  });
});
