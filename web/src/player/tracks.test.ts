import { describe, expect, it } from 'vitest';
import { languageName, trackChoices, trackFor } from './tracks';

describe('tracks', () => {
  it('are called as somebody called them, or by their language', () => {
    const tracks = [
      { name: 'en', language: 'en' },
      { name: 'Deutsch (mit Geräuschen)', language: 'de' },
      { name: 'fr-CA', language: 'fr-CA' },
      { name: 'Audio', language: undefined },
      { name: 'Audio', language: undefined },
    ];
    const labels = trackChoices(tracks).map((choice) => choice.label);
    expect(labels).toEqual(['English', 'Deutsch (mit Geräuschen)', languageName('fr-CA'), 'Audio', 'Audio 2']);
    expect(labels[2]).toMatch(/^Français/);
    expect(languageName('x-y-z')).toBe('x-y-z');
  });

  it('are found by language', () => {
    const tracks = [
      { name: '', language: 'de' },
      { name: '', language: 'en-GB' },
      { name: '', language: 'en-US' },
    ];
    expect([trackFor(tracks, 'en-us'), trackFor(tracks, 'en'), trackFor(tracks, 'de-AT'), trackFor(tracks, 'fr'), trackFor(tracks, null)]).toEqual([2, 1, 0, -1, -1]);
    expect(trackFor([{ name: 'x', language: undefined }], 'en')).toBe(-1);
  });
});
