// The chapters of a lecture: name those that were found, add and remove some.

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { putChapters } from '../api/chapters';
import { messageFor } from '../api/problem';
import { chaptersQuery } from '../api/queries';
import type { Chapter, ChaptersAnswer } from '../api/types';
import { parseClock } from '../player/chapters';
import { ChapterStill } from '../player/ChapterStill';
import { useStill } from '../player/useStill';
import { ErrorState } from '../ui/ErrorState';
import { clock } from '../ui/format';
import { FormError } from '../ui/FormError';
import { Skeleton } from '../ui/Skeleton';
import { toast } from '../ui/toasts';

interface ChaptersEditorProps {
  assetId: string;
  lessonId: string;
  durationMs: number;
}

export function ChaptersEditor(props: ChaptersEditorProps) {
  const chapters = useQuery(chaptersQuery(props.assetId));
  if (chapters.isPending) return <Skeleton kind="row" />;
  if (!chapters.data) {
    return <ErrorState title="The chapters could not be read" message={messageFor(chapters.error)} onRetry={() => void chapters.refetch()} />;
  }
  // Made anew when the server's list changes, with what it then says.
  return <ChaptersForm key={chapters.dataUpdatedAt} {...props} answer={chapters.data} />;
}

function ChaptersForm({ assetId, lessonId, durationMs, answer }: ChaptersEditorProps & { answer: ChaptersAnswer }) {
  const queries = useQueryClient();
  const sheetUrl = useStill(lessonId, 'chapters.jpg', answer.sheet !== null);
  const [items, setItems] = useState<Chapter[]>(answer.items);
  const [time, setTime] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const changed = JSON.stringify(items) !== JSON.stringify(answer.items);

  const add = () => {
    const at = parseClock(time);
    if (at === null || at >= durationMs) {
      setProblem(`A chapter begins at a time like 1:30, before the end at ${clock(durationMs)}.`);
      return;
    }
    if (items.some((item) => item.start_ms === at)) {
      setProblem(`There is a chapter at ${clock(at)} already.`);
      return;
    }
    setProblem(null);
    setTime('');
    const still = items.findLast((item) => item.start_ms < at)?.still ?? null;
    setItems([...items, { start_ms: at, title: '', still }].toSorted((a, b) => a.start_ms - b.start_ms));
  };

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const kept = await putChapters(
        assetId,
        items.map(({ start_ms, title }) => ({ start_ms, title: title.trim() })),
      );
      queries.setQueryData(chaptersQuery(assetId).queryKey, kept);
      toast('Saved.');
    } catch (error) {
      setProblem(messageFor(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="panel form tracks" onSubmit={(event) => void submit(event)} data-testid="chapters-editor">
      <FormError message={problem} />
      {items.length === 0 && <p className="muted">No chapters. Where slides follow each other, chapters are found by themselves.</p>}
      {items.length > 0 && (
        <ol className="tracks-list">
          {items.map((item, index) => (
            <li key={item.start_ms} className="tracks-row" data-testid="chapter-row">
              <ChapterStill still={item.still} sheet={answer.sheet} sheetUrl={sheetUrl} />
              <span className="chapter-time">{clock(item.start_ms)}</span>
              <input
                className="field-control tracks-grow"
                aria-label={`Title of the chapter at ${clock(item.start_ms)}`}
                placeholder={`Chapter ${index + 1}`}
                maxLength={200}
                value={item.title}
                onChange={(event) => setItems(items.map((other) => (other === item ? { ...item, title: event.target.value } : other)))}
                data-testid="chapter-title"
              />
              <button
                type="button"
                className="link-button link-button-danger"
                aria-label={`Remove the chapter at ${clock(item.start_ms)}`}
                onClick={() => setItems(items.filter((other) => other !== item))}
              >
                Remove
              </button>
            </li>
          ))}
        </ol>
      )}
      <div className="tracks-add">
        <input
          className="field-control"
          aria-label="Time of a new chapter"
          placeholder="1:30"
          value={time}
          onChange={(event) => setTime(event.target.value)}
          data-testid="chapter-time"
        />
        <button type="button" className="button button-quiet" onClick={add} data-testid="chapter-add">
          Add chapter
        </button>
        <span className="stage-space" />
        <button type="submit" className="button" disabled={busy || !changed} data-testid="chapters-save">
          {busy ? 'Saving…' : 'Save chapters'}
        </button>
      </div>
    </form>
  );
}
