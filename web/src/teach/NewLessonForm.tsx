// A new lesson: a lecture to upload, or a text.

import { useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { useNavigate } from 'react-router';
import { createLesson } from '../api/courses';
import { messageFor } from '../api/problem';
import type { LessonType } from '../api/types';
import { Field } from '../ui/Field';
import { FormError } from '../ui/FormError';

const kinds: { value: LessonType; label: string; hint: string }[] = [
  { value: 'video', label: 'Lecture', hint: 'Video or audio, uploaded next' },
  { value: 'text', label: 'Text', hint: 'Something to read' },
];

export function NewLessonForm({ courseId, onCancel }: { courseId: string; onCancel: () => void }) {
  const [title, setTitle] = useState('');
  const [type, setType] = useState<LessonType>('video');
  const [visible, setVisible] = useState(true);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const navigate = useNavigate();
  const queries = useQueryClient();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const lesson = await createLesson(courseId, { title: title.trim(), type, published_status: visible ? 'published' : 'draft' });
      void queries.invalidateQueries({ queryKey: ['lessons', courseId] });
      void queries.invalidateQueries({ queryKey: ['courses'] });
      await navigate(`/teach/courses/${courseId}/lessons/${lesson.id}`);
    } catch (error) {
      setProblem(messageFor(error));
      setBusy(false);
    }
  };

  return (
    <form className="panel form" onSubmit={(event) => void submit(event)} aria-label="New lesson" data-testid="new-lesson-form">
      <FormError message={problem} />
      <Field
        label="Lesson title"
        name="title"
        required
        autoFocus
        maxLength={200}
        value={title}
        onChange={(event) => setTitle(event.target.value)}
      />
      <fieldset className="choices">
        <legend className="field-label">What is it?</legend>
        {kinds.map((kind) => (
          <label key={kind.value} className="choice">
            <input
              type="radio"
              name="type"
              value={kind.value}
              aria-label={kind.label}
              checked={type === kind.value}
              onChange={() => setType(kind.value)}
            />
            <span className="choice-label">{kind.label}</span>
            <span className="choice-hint">{kind.hint}</span>
          </label>
        ))}
      </fieldset>
      <label className="check">
        <input type="checkbox" checked={visible} onChange={(event) => setVisible(event.target.checked)} />
        Learners see it as soon as the course is published
      </label>
      <div className="form-actions">
        <button type="submit" className="button" disabled={busy} data-testid="submit">
          {busy ? 'Adding…' : 'Add lesson'}
        </button>
        <button type="button" className="button button-quiet" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}
