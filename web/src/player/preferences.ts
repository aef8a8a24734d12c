// What a person chose in the player, kept on this device.

export interface PlayerPreferences {
  speed: number;
  shortcuts: boolean;
}

const NAME = 'lectern.player';
const defaults: PlayerPreferences = { speed: 1, shortcuts: true };

export function readPreferences(): PlayerPreferences {
  try {
    const stored = JSON.parse(localStorage.getItem(NAME) ?? '{}') as Partial<PlayerPreferences>;
    return {
      speed: typeof stored.speed === 'number' && stored.speed >= 0.25 && stored.speed <= 4 ? stored.speed : defaults.speed,
      shortcuts: typeof stored.shortcuts === 'boolean' ? stored.shortcuts : defaults.shortcuts,
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
