// Where a lecture is dropped or chosen.

import { useQuery } from '@tanstack/react-query';
import { useId, useState, type DragEvent } from 'react';
import { fileSize } from '../ui/format';
import { Icon } from '../ui/Icon';
import { ACCEPT, refuseFile } from './acceptable';
import { uploadLimitQuery } from './uploadLimit';

interface DropZoneProps {
  /** Said above the button, e.g. that an upload waits to be resumed. */
  title: string;
  onFile: (file: File) => void;
}

export function DropZone({ title, onFile }: DropZoneProps) {
  const id = useId();
  const limit = useQuery(uploadLimitQuery()).data ?? null;
  const [over, setOver] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  const take = (files: FileList | null) => {
    const file = files?.[0];
    if (!file) return;
    const reason = files.length > 1 ? 'A lesson has one lecture: choose a single file.' : refuseFile(file, limit);
    setProblem(reason);
    if (reason === null) onFile(file);
  };

  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files);
  };

  return (
    <div
      className={over ? 'drop-zone drop-zone-over' : 'drop-zone'}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false);
      }}
      onDrop={onDrop}
      data-testid="drop-zone"
    >
      <Icon name="upload" size={32} />
      <p className="drop-zone-title">{over ? 'Let go to upload' : title}</p>
      <label className="button" htmlFor={id}>
        Choose file
      </label>
      <input
        id={id}
        className="visually-hidden"
        type="file"
        accept={ACCEPT}
        aria-label="Lecture file"
        data-testid="file-input"
        onChange={(event) => {
          take(event.target.files);
          event.target.value = '';
        }}
      />
      <p className="muted small">
        Video or audio: MP4, MOV, MKV, WebM and more{limit !== null && `, up to ${fileSize(limit)}`}. Uploads survive a lost connection.
      </p>
      {problem && (
        <p className="notice notice-bad" role="alert" data-testid="file-problem">
          {problem}
        </p>
      )}
    </div>
  );
}
