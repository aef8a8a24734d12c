// Server-sent events from text: the parsing of the HTML standard's section 9.2.6, as far as Lectern uses it.

export interface ServerSentEvent {
  event: string;
  data: string;
}

/** Feeds on text as it arrives, gives the events that became complete. */
export class EventStreamParser {
  #rest = '';
  #event = '';
  #data: string[] = [];
  #sawCarriageReturn = false;

  push(text: string): ServerSentEvent[] {
    // A CR at the end of one piece and an LF at the start of the next are one line end.
    const piece = this.#sawCarriageReturn && text.startsWith('\n') ? text.slice(1) : text;
    if (text !== '') this.#sawCarriageReturn = text.endsWith('\r');
    const lines = (this.#rest + piece).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? '';
    const events: ServerSentEvent[] = [];
    for (const line of lines) {
      const event = this.#line(line);
      if (event) events.push(event);
    }
    return events;
  }

  #line(line: string): ServerSentEvent | null {
    if (line === '') {
      const event = this.#data.length > 0 ? { event: this.#event || 'message', data: this.#data.join('\n') } : null;
      this.#event = '';
      this.#data = [];
      return event;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    if (field === 'data') this.#data.push(value);
    return null;
  }
}
