// Failed requests as one error type: a problem document (RFC 9457) from the server, or no answer at all.

export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** HTTP status; 0 when no answer came. */
    readonly status: number,
    /** The problem's stable code; `network` when no answer came. */
    readonly code: string,
    detail: string,
    /** Seconds the server asks to wait. */
    readonly retryAfter?: number,
  ) {
    super(detail);
  }

  get isNetwork(): boolean {
    return this.status === 0;
  }
}

export const networkError = () => new ApiError(0, 'network', 'The server could not be reached.');

/** Reads a problem document's text; anything else becomes an error with the status alone. */
export function problemFrom(status: number, text: string, retryAfter?: string | null): ApiError {
  let code = `http_${status}`;
  let detail = '';
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null) {
      const fields = body as Record<string, unknown>;
      if (typeof fields.code === 'string') code = fields.code;
      if (typeof fields.detail === 'string') detail = fields.detail;
      else if (typeof fields.title === 'string') detail = fields.title;
    }
  } catch {
    // Not JSON: a proxy's page, perhaps. The status says enough.
  }
  const seconds = retryAfter ? Number.parseInt(retryAfter, 10) : Number.NaN;
  return new ApiError(status, code, detail, Number.isFinite(seconds) ? seconds : undefined);
}

/** A server's sentence as a sentence for people: capital letter, full stop. */
export function asSentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

const knownCodes: Record<string, string> = {
  invalid_credentials: 'The email address or the password is not right.',
  refresh_reused: 'You were signed out because this session was used elsewhere. Please sign in again.',
  unauthenticated: 'Please sign in first.',
  not_owner: 'Only the instructor of this course can do that.',
  not_found: 'This does not exist, or you may not see it.',
  precondition_failed: 'Somebody changed this in the meantime. Reload to see the newest version, then try again.',
};

/** What to tell a person about a failed request. */
export function messageFor(error: unknown): string {
  if (!(error instanceof ApiError)) return 'Something went wrong. Please try again.';
  if (error.isNetwork) return 'The server could not be reached. Check your connection and try again.';
  const known = knownCodes[error.code];
  if (known) return known;
  if (error.status === 429) {
    const wait = error.retryAfter ? ` Wait ${error.retryAfter} seconds and try again.` : ' Wait a little and try again.';
    return `That was too often.${wait}`;
  }
  if (error.status >= 500) return 'Something went wrong on our side. Please try again in a moment.';
  return asSentence(error.message) || 'Something went wrong. Please try again.';
}
