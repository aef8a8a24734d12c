// The captions of a lecture: upload a file for a language, see what is there, remove it.

import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useId, useRef, useState, type FormEvent } from 'react';
import { deleteCaptions, MAX_CAPTION_BYTES, putCaptions } from '../api/captions';
import { messageFor } from '../api/problem';
import { captionsQuery } from '../api/queries';
import type { Caption } from '../api/types';
import { languageName } from '../player/tracks';
import { ConfirmDialog } from '../ui/ConfirmDialog';
import { ErrorState } from '../ui/ErrorState';
import { Field } from '../ui/Field';
import { countOf, fileSize } from '../ui/format';
import { FormError } from '../ui/FormError';
import { Skeleton } from '../ui/Skeleton';
import { toast } from '../ui/toasts';
import { useTask } from '../ui/useTask';

/** While a change is being published, how often to look, milliseconds. */
const POLL_MS = 1_500;

export function CaptionsEditor({ assetId, ready }: { assetId: string; ready: boolean }) {
  const queries = useQueryClient();
  const captions = useQuery({
    ...captionsQuery(assetId),
    refetchInterval: ({ state }) => (ready && state.data && !state.data.published ? POLL_MS : false),
  });
  const [removing, setRemoving] = useState<Caption | null>(null);
  const reload = () => queries.invalidateQueries({ queryKey: ['captions', assetId] });
  const remove = useTask({
    run: (language: string) => deleteCaptions(assetId, language),
    done: 'The captions are removed.',
    onDone: async () => {
      setRemoving(null);
      await reload();
    },
  });

  if (captions.isPending) return <Skeleton kind="row" />;
  if (!captions.data) {
    return <ErrorState title="The captions could not be read" message={messageFor(captions.error)} onRetry={() => void captions.refetch()} />;
  }
  const { items, published } = captions.data;

  return (
    <div className="panel tracks" data-testid="captions-editor" data-published={published}>
      {items.length > 0 && (
        <ul className="tracks-list">
          {items.map((caption) => (
            <li key={caption.language} className="tracks-row" data-testid="captions-row">
              <span className="tracks-words">
                <span className="tracks-name">{caption.label}</span>
                <span className="muted small">
                  {[
                    `${languageName(caption.language)} (${caption.language})`,
                    caption.kind === 'captions' ? 'captions' : 'subtitles',
                    countOf(caption.cues, 'line'),
                    caption.origin === 'source' ? 'from the file' : null,
                  ]
                    .filter(Boolean)
                    .join(' · ')}
                </span>
              </span>
              <button
                type="button"
                className="link-button link-button-danger"
                aria-label={`Remove ${caption.label}`}
                onClick={() => setRemoving(caption)}
                data-testid="captions-remove"
              >
                Remove
              </button>
            </li>
          ))}
        </ul>
      )}
      {!published && (
        <p className="muted small" role="status">
          {ready ? 'Being added to the lecture…' : 'Added once the lecture is ready.'}
        </p>
      )}
      <CaptionsForm assetId={assetId} onDone={reload} />
      <ConfirmDialog
        open={removing !== null}
        title={`Remove ${removing?.label ?? ''}?`}
        message="Learners can no longer show these captions. The lecture itself stays as it is."
        confirmLabel="Remove"
        busy={remove.isPending}
        onConfirm={() => removing && remove.mutate(removing.language)}
        onCancel={() => setRemoving(null)}
      />
    </div>
  );
}

function CaptionsForm({ assetId, onDone }: { assetId: string; onDone: () => Promise<void> }) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [language, setLanguage] = useState('');
  const [label, setLabel] = useState('');
  const [kind, setKind] = useState<Caption['kind']>('captions');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const tag = language.trim();

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const file = input.current?.files?.[0];
    if (!file) {
      setProblem('Choose a SubRip (.srt) or WebVTT (.vtt) file.');
      return;
    }
    if (file.size > MAX_CAPTION_BYTES) {
      setProblem(`${file.name} has ${fileSize(file.size)}; a caption file has at most 2 MB.`);
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      await putCaptions(assetId, { language: tag, label: label.trim() || languageName(tag), kind }, file);
      setLanguage('');
      setLabel('');
      if (input.current) input.current.value = '';
      toast('The captions are kept.');
      await onDone();
    } catch (error) {
      setProblem(messageFor(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <form className="form" onSubmit={(event) => void submit(event)} data-testid="captions-form">
      <FormError message={problem} />
      <div className="field">
        <label className="field-label" htmlFor={`${id}-file`}>
          Caption file
        </label>
        <input id={`${id}-file`} ref={input} className="field-control" type="file" accept=".srt,.vtt,text/vtt" data-testid="captions-file" />
      </div>
      <div className="tracks-fields">
        <Field
          label="Language"
          name="language"
          required
          pattern="[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*"
          placeholder="en"
          hint={tag && languageName(tag) !== tag ? languageName(tag) : 'As a tag: en, de, pt-BR.'}
          value={language}
          onChange={(event) => setLanguage(event.target.value)}
        />
        <Field label="Name" name="label" optional maxLength={200} hint="Shown in the player." value={label} onChange={(event) => setLabel(event.target.value)} />
      </div>
      <fieldset className="tracks-kind">
        <legend className="field-label">Made for</legend>
        <label>
          <input type="radio" name={`${id}-kind`} checked={kind === 'captions'} onChange={() => setKind('captions')} /> those who do not hear (captions)
        </label>
        <label>
          <input type="radio" name={`${id}-kind`} checked={kind === 'subtitles'} onChange={() => setKind('subtitles')} /> those who speak another language (subtitles)
        </label>
      </fieldset>
      <div className="form-actions">
        <button type="submit" className="button" disabled={busy} data-testid="captions-save">
          {busy ? 'Uploading…' : 'Upload captions'}
        </button>
      </div>
    </form>
  );
}
