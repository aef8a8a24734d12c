// The application's icons: strokes on a 24-unit grid, decorative (the control beside or around them has the name).

const paths = {
  check: 'M5 12.5l4.5 4.5L19 7.5',
  play: 'M8 5.5v13l11-6.5z',
  pause: 'M8 5v14M16 5v14',
  text: 'M6 7h12M6 12h12M6 17h7',
  lock: 'M7 11V8a5 5 0 0 1 10 0v3M6 11h12v9H6z',
  plus: 'M12 5v14M5 12h14',
  upload: 'M12 16V5M7 9.5l5-5 5 5M5 19.5h14',
  up: 'M6 14.5l6-6 6 6',
  down: 'M6 9.5l6 6 6-6',
  back: 'M14.5 6l-6 6 6 6',
  forward: 'M9.5 6l6 6-6 6',
  warning: 'M12 4.5l8.5 15h-17zM12 10v4.5M12 17v.01',
  wave: 'M4 10v4M8 6.5v11M12 9v6M16 4.5v15M20 10v4',
  close: 'M6.5 6.5l11 11M17.5 6.5l-11 11',
  retry: 'M19 8a8 8 0 1 0 1 5.5M19.5 3.5V8H15',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg className={`icon icon-${name}`} width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
