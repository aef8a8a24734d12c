import { expect, it } from 'vitest';
import { shortcutFor, speedStep, type Focus } from './shortcuts';

const press = (key: string, focus: Focus = 'page', modifiers = {}) =>
  shortcutFor({ key, ctrlKey: false, metaKey: false, altKey: false, ...modifiers }, focus);

it.each([
  [' ', { do: 'toggle' }],
  ['k', { do: 'toggle' }],
  ['ArrowLeft', { do: 'seek', seconds: -5 }],
  ['L', { do: 'seek', seconds: 10 }],
  ['f', { do: 'fullscreen' }],
  ['m', { do: 'mute' }],
  ['c', { do: 'captions' }],
  ['<', { do: 'speed', steps: -1 }],
  ['5', { do: 'seek_to', share: 0.5 }],
  ['x', null],
  ['Tab', null],
])('%s', (key, expected) => expect(press(key)).toEqual(expected));

it('leaves keys to what has the focus', () => {
  expect(press('k', 'typing')).toBeNull();
  expect(press(' ', 'button')).toBeNull();
  expect(press('k', 'button')).toEqual({ do: 'toggle' });
  expect(press('ArrowLeft', 'slider')).toBeNull();
  expect(press('j', 'slider')).toEqual({ do: 'seek', seconds: -10 });
});

it('leaves the browser its own', () => {
  for (const modifier of ['ctrlKey', 'metaKey', 'altKey']) expect(press('f', 'page', { [modifier]: true })).toBeNull();
});

it('steps through the speeds and stays on the list', () => {
  expect(speedStep(1, 1)).toBe(1.25);
  expect(speedStep(2, 1)).toBe(2);
  expect(speedStep(0.5, -1)).toBe(0.5);
  expect(speedStep(1.1, 1)).toBe(1.25);
});
