// A part of a page could not be read: says why and offers to try again.

import { Icon } from './Icon';

interface ErrorStateProps {
  title: string;
  message: string;
  onRetry?: () => void;
}

export function ErrorState({ title, message, onRetry }: ErrorStateProps) {
  return (
    <div className="empty" role="alert">
      <span className="empty-icon empty-icon-bad">
        <Icon name="warning" size={28} />
      </span>
      <h2>{title}</h2>
      <p>{message}</p>
      {onRetry && (
        <div className="empty-action">
          <button type="button" className="button" onClick={onRetry}>
            <Icon name="retry" size={18} /> Try again
          </button>
        </div>
      )}
    </div>
  );
}
