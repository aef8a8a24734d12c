// Short messages that come and go: the list, and how to add to it from anywhere.

export interface Toast {
  id: number;
  text: string;
  tone: 'good' | 'bad';
}

const SHOWN_MS = 6000;

let toasts: readonly Toast[] = [];
let nextId = 1;
const listeners = new Set<() => void>();

function set(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

export function subscribeToasts(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export const currentToasts = (): readonly Toast[] => toasts;

export function dismissToast(id: number): void {
  set(toasts.filter((toast) => toast.id !== id));
}

export function toast(text: string, tone: Toast['tone'] = 'good'): void {
  const id = nextId++;
  set([...toasts.slice(-2), { id, text, tone }]);
  setTimeout(() => dismissToast(id), tone === 'bad' ? SHOWN_MS * 2 : SHOWN_MS);
}
