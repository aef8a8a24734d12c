// A lesson's title and text.

import { useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { changeLesson } from '../api/courses';
import { messageFor } from '../api/problem';
import { lessonQuery } from '../api/queries';
import type { Lesson } from '../api/types';
import { Field } from '../ui/Field';
import { FormError } from '../ui/FormError';
import { toast } from '../ui/toasts';

export function LessonForm({ lesson }: { lesson: Lesson }) {
  const queries = useQueryClient();
  const [title, setTitle] = useState(lesson.title);
  const [body, setBody] = useState(lesson.body ?? '');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const reading = lesson.type === 'text';

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const changed = await changeLesson(lesson.id, { title: title.trim(), body });
      queries.setQueryData(lessonQuery(lesson.id).queryKey, changed);
      void queries.invalidateQueries({ queryKey: ['lessons', lesson.course_id] });
      toast('Saved.');
    } catch (error) {
      setProblem(messageFor(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="panel form" onSubmit={(event) => void submit(event)} data-testid="lesson-form">
      <FormError message={problem} />
      <Field label="Lesson title" name="title" required maxLength={200} value={title} onChange={(event) => setTitle(event.target.value)} />
      <Field
        label={reading ? 'Text' : 'Notes'}
        name="body"
        multiline
        rows={reading ? 14 : 5}
        optional
        hint={reading ? undefined : 'Shown below the player.'}
        value={body}
        onChange={(event) => setBody(event.target.value)}
      />
      <div className="form-actions">
        <button type="submit" className="button" disabled={busy} data-testid="save-lesson">
          {busy ? 'Saving…' : 'Save'}
        </button>
      </div>
    </form>
  );
}
