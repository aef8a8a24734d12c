// Obeys the player's keys anywhere on the lesson page, while they are turned on.

import { useEffect, type RefObject } from 'react';
import { focusKind, shortcutFor } from './shortcuts';

interface Player {
  video: RefObject<HTMLVideoElement | null>;
  controller: RefObject<HTMLElement | null>;
  onSpeedStep: (steps: 1 | -1) => void;
  onCaptions: () => void;
}

export function useShortcuts(enabled: boolean, { video, controller, onSpeedStep, onCaptions }: Player): void {
  useEffect(() => {
    if (!enabled) return;
    const onKeyDown = (event: KeyboardEvent) => {
      const element = video.current;
      if (!element || event.defaultPrevented) return;
      const shortcut = shortcutFor(event, focusKind(event.target));
      if (!shortcut) return;
      event.preventDefault();
      const end = Number.isFinite(element.duration) ? element.duration : 0;
      switch (shortcut.do) {
        case 'toggle':
          if (element.paused) void element.play().catch(() => undefined);
          else element.pause();
          break;
        case 'seek':
          element.currentTime = Math.min(end, Math.max(0, element.currentTime + shortcut.seconds));
          break;
        case 'seek_to':
          element.currentTime = end * shortcut.share;
          break;
        case 'volume':
          element.muted = false;
          element.volume = Math.min(1, Math.max(0, element.volume + shortcut.by));
          break;
        case 'mute':
          element.muted = !element.muted;
          break;
        case 'captions':
          onCaptions();
          break;
        case 'speed':
          onSpeedStep(shortcut.steps);
          break;
        case 'fullscreen':
          controller.current?.querySelector<HTMLElement>('media-fullscreen-button')?.click();
          break;
      }
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, [enabled, video, controller, onSpeedStep, onCaptions]);
}
