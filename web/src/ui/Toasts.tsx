// Shows the toasts and has them read aloud.

import { useSyncExternalStore } from 'react';
import { Icon } from './Icon';
import { currentToasts, dismissToast, subscribeToasts } from './toasts';

export function Toasts() {
  const toasts = useSyncExternalStore(subscribeToasts, currentToasts);
  return (
    <div className="toasts" role="status" aria-live="polite" data-testid="toasts">
      {toasts.map((toast) => (
        <div key={toast.id} className={`toast toast-${toast.tone}`}>
          <Icon name={toast.tone === 'good' ? 'check' : 'warning'} size={18} />
          <span>{toast.text}</span>
          <button type="button" className="icon-button" aria-label="Dismiss message" onClick={() => dismissToast(toast.id)}>
            <Icon name="close" size={16} />
          </button>
        </div>
      ))}
    </div>
  );
}
