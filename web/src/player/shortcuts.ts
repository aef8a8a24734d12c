// The player's keys.

export const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2] as const;

export type Shortcut =
  | { do: 'toggle' | 'fullscreen' | 'mute' | 'captions' }
  | { do: 'seek'; seconds: number }
  | { do: 'seek_to'; share: number }
  | { do: 'volume'; by: number }
  | { do: 'speed'; steps: 1 | -1 };

export interface Key {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

/** What kind of thing has the focus: some keys belong to it. */
export type Focus = 'page' | 'button' | 'slider' | 'typing';

export function shortcutFor(event: Key, focus: Focus): Shortcut | null {
  if (event.ctrlKey || event.metaKey || event.altKey || focus === 'typing') return null;
  if (focus === 'button' && (event.key === ' ' || event.key === 'Enter')) return null;
  if (focus === 'slider' && /^(Arrow|Home$|End$|Page)/.test(event.key)) return null;
  if (/^[0-9]$/.test(event.key)) return { do: 'seek_to', share: Number(event.key) / 10 };
  switch (event.key) {
    case ' ':
    case 'k':
    case 'K':
      return { do: 'toggle' };
    case 'ArrowLeft':
      return { do: 'seek', seconds: -5 };
    case 'ArrowRight':
      return { do: 'seek', seconds: 5 };
    case 'j':
    case 'J':
      return { do: 'seek', seconds: -10 };
    case 'l':
    case 'L':
      return { do: 'seek', seconds: 10 };
    case 'ArrowUp':
      return { do: 'volume', by: 0.1 };
    case 'ArrowDown':
      return { do: 'volume', by: -0.1 };
    case 'f':
    case 'F':
      return { do: 'fullscreen' };
    case 'm':
    case 'M':
      return { do: 'mute' };
    case 'c':
    case 'C':
      return { do: 'captions' };
    case '<':
      return { do: 'speed', steps: -1 };
    case '>':
      return { do: 'speed', steps: 1 };
    default:
      return null;
  }
}

/** The speed some steps away from `rate`, staying on the list. */
export function speedStep(rate: number, steps: number): number {
  const nearest = SPEEDS.reduce((best, speed, index) => (Math.abs(speed - rate) < Math.abs((SPEEDS[best] ?? 1) - rate) ? index : best), 0);
  return SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, nearest + steps))] ?? 1;
}

const TYPING = new Set(['INPUT', 'TEXTAREA', 'SELECT']);

export function focusKind(target: EventTarget | null): Focus {
  if (!(target instanceof HTMLElement)) return 'page';
  if (target.closest('dialog[open], [role="menu"]')) return 'typing';
  const checkable = target instanceof HTMLInputElement && (target.type === 'checkbox' || target.type === 'radio');
  if (checkable) return 'button';
  if (TYPING.has(target.tagName) || target.isContentEditable) return 'typing';
  if (/-RANGE$/.test(target.tagName)) return 'slider';
  if (/^(BUTTON|A|SUMMARY)$|-BUTTON$/.test(target.tagName)) return 'button';
  return 'page';
}
