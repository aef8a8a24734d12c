// What a person chose in the player, kept on this device.

export interface PlayerPreferences {
  speed: number;
  shortcuts: boolean;
  /** Language of the captions that were last shown; null for none. */
  captions: string | null;
  /** Language of the sound that was last chosen; null for the presentation's own choice. */
  sound: string | null;
}

const NAME = 'lectern.player';
const defaults: PlayerPreferences = { speed: 1, shortcuts: true, captions: null, sound: null };

export function readPreferences(): PlayerPreferences {
  try {
    const language = (value: unknown) => (typeof value === 'string' && value.length <= 35 ? value : null);
    const stored = JSON.parse(localStorage.getItem(NAME) ?? '{}') as Partial<PlayerPreferences>;
    return {
      speed: typeof stored.speed === 'number' && stored.speed >= 0.25 && stored.speed <= 4 ? stored.speed : defaults.speed,
      shortcuts: typeof stored.shortcuts === 'boolean' ? stored.shortcuts : defaults.shortcuts,
      captions: language(stored.captions),
      sound: language(stored.sound),
    };
  } catch {
    return defaults;
  }
}

export function writePreferences(change: Partial<PlayerPreferences>): void {
  try {
    localStorage.setItem(NAME, JSON.stringify({ ...readPreferences(), ...change }));
  } catch {
    // Storage full or forbidden: the choice holds for this page.
  }
}
