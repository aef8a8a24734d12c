// A menu in the control bar that chooses one of several: quality, speed. Keys as the ARIA menu pattern has them.

import { useEffect, useId, useRef, useState, type KeyboardEvent } from 'react';

export interface MenuChoice<V> {
  value: V;
  label: string;
}

interface PlayerMenuProps<V> {
  /** What is chosen here: "Quality". */
  name: string;
  /** Shown on the button. */
  shown: string;
  /** What is said in its place: for a button that shows a sign. */
  spoken?: string;
  choices: MenuChoice<V>[];
  chosen: V;
  onChoose: (value: V) => void;
  testId: string;
}

export function PlayerMenu<V extends number>({ name, shown, spoken = shown, choices, chosen, onChoose, testId }: PlayerMenuProps<V>) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const id = useId();

  useEffect(() => {
    if (!open) return;
    const items = menu.current?.querySelectorAll<HTMLElement>('[role="menuitemradio"]');
    const current = Array.from(items ?? []).find((item) => item.getAttribute('aria-checked') === 'true');
    (current ?? items?.[0])?.focus();
    const closeOutside = (event: Event) => {
      if (!event.composedPath().includes(root.current as EventTarget)) setOpen(false);
    };
    document.addEventListener('pointerdown', closeOutside);
    return () => document.removeEventListener('pointerdown', closeOutside);
  }, [open]);

  const close = () => {
    setOpen(false);
    button.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const items = Array.from(menu.current?.querySelectorAll<HTMLElement>('[role="menuitemradio"]') ?? []);
    const at = items.indexOf(document.activeElement as HTMLElement);
    const moves: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1 + items.length, Home: 0, End: items.length - 1 };
    const to = moves[event.key];
    if (event.key === 'Escape') close();
    else if (event.key === 'Tab') setOpen(false);
    else if (to !== undefined) items[to % items.length]?.focus();
    else return;
    if (event.key !== 'Tab') event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div className="player-menu" ref={root}>
      <button
        type="button"
        ref={button}
        className="player-menu-button"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={id}
        aria-label={`${name}: ${spoken}`}
        data-testid={testId}
        onClick={() => setOpen(!open)}
      >
        {shown}
      </button>
      {open && (
        <div className="player-menu-list" role="menu" id={id} aria-label={name} ref={menu} onKeyDown={onKeyDown}>
          {choices.map((choice) => (
            <button
              key={choice.value}
              type="button"
              role="menuitemradio"
              aria-checked={choice.value === chosen}
              tabIndex={-1}
              data-testid={`${testId}-choice`}
              onClick={() => {
                onChoose(choice.value);
                close();
              }}
            >
              {choice.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
