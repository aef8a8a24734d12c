// A new course: its title and what it is about. The rest is on its own page.

import { useQueryClient } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { useNavigate } from 'react-router';
import { createCourse } from '../api/courses';
import { messageFor } from '../api/problem';
import { Field } from '../ui/Field';
import { FormError } from '../ui/FormError';

export function NewCourseForm({ onCancel }: { onCancel: () => void }) {
  const [title, setTitle] = useState('');
  const [description, setDescription] = useState('');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const navigate = useNavigate();
  const queries = useQueryClient();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const course = await createCourse({ title: title.trim(), description: description.trim() });
      void queries.invalidateQueries({ queryKey: ['courses'] });
      await navigate(`/teach/courses/${course.id}`);
    } catch (error) {
      setProblem(messageFor(error));
      setBusy(false);
    }
  };

  return (
    <form className="panel form" onSubmit={(event) => void submit(event)} aria-label="New course" data-testid="new-course-form">
      <FormError message={problem} />
      <Field
        label="Course title"
        name="title"
        required
        autoFocus
        maxLength={200}
        value={title}
        onChange={(event) => setTitle(event.target.value)}
      />
      <Field
        label="Description"
        name="description"
        multiline
        optional
        hint="What learners will know afterwards, and what they need to know before."
        value={description}
        onChange={(event) => setDescription(event.target.value)}
      />
      <div className="form-actions">
        <button type="submit" className="button" disabled={busy} data-testid="submit">
          {busy ? 'Making…' : 'Make course'}
        </button>
        <button type="button" className="button button-quiet" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}
