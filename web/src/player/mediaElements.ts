// Media Chrome's elements that the player uses, and their types for JSX.

import 'media-chrome/media-controller';
import 'media-chrome/media-control-bar';
import 'media-chrome/media-play-button';
import 'media-chrome/media-mute-button';
import 'media-chrome/media-volume-range';
import 'media-chrome/media-time-range';
import 'media-chrome/media-time-display';
import 'media-chrome/media-seek-backward-button';
import 'media-chrome/media-seek-forward-button';
import 'media-chrome/media-fullscreen-button';
import 'media-chrome/media-loading-indicator';
import type { HTMLAttributes, RefAttributes } from 'react';

type MediaElement = HTMLAttributes<HTMLElement> &
  RefAttributes<HTMLElement> & { class?: string; slot?: string; [attribute: string]: unknown };

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'media-controller': MediaElement;
      'media-control-bar': MediaElement;
      'media-play-button': MediaElement;
      'media-mute-button': MediaElement;
      'media-volume-range': MediaElement;
      'media-time-range': MediaElement;
      'media-time-display': MediaElement;
      'media-seek-backward-button': MediaElement;
      'media-seek-forward-button': MediaElement;
      'media-fullscreen-button': MediaElement;
      'media-loading-indicator': MediaElement;
    }
  }
}
