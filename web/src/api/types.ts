// The values of docs/api.md, by hand. Field names are the server's.

export type Role = 'student' | 'instructor' | 'admin';
export type PublishedStatus = 'draft' | 'published';
export type LessonType = 'video' | 'text';
export type AssetState =
  | 'awaiting_upload'
  | 'uploading'
  | 'probing'
  | 'processing'
  | 'playable'
  | 'ready'
  | 'failed'
  | 'deleted';

export interface User {
  id: string;
  email: string;
  name: string;
  role: Role;
  created_at: string;
}

export interface SessionAnswer {
  user: User;
  access_token: string;
  refresh_token: string;
  /** Seconds until the access token ends. */
  expires_in: number;
}

export interface Price {
  amount_minor: number;
  currency: string;
}

export interface Course {
  id: string;
  title: string;
  description: string | null;
  price: Price | null;
  published_status: PublishedStatus;
  owner: { id: string; name: string };
  enrolled: boolean;
  lesson_count: number;
  created_at: string;
  updated_at: string;
}

export interface CoursePageAnswer {
  items: Course[];
  next_cursor: string | null;
}

export interface CourseDraft {
  title: string;
  description: string;
  price?: Price;
}

export type CourseChange = Partial<CourseDraft & { published_status: PublishedStatus }>;

export interface LessonAsset {
  id: string;
  state: AssetState;
  progress: number;
  duration_ms: number | null;
}

export interface Lesson {
  id: string;
  course_id: string;
  title: string;
  type: LessonType;
  order_index: number;
  published_status: PublishedStatus;
  body: string | null;
  asset_id: string | null;
  asset?: LessonAsset | null;
  created_at: string;
  updated_at: string;
}

export interface LessonDraft {
  title: string;
  type: LessonType;
  published_status?: PublishedStatus;
  order_index?: number;
  body?: string;
}

export type LessonChange = Partial<Pick<LessonDraft, 'title' | 'order_index' | 'published_status' | 'body'>>;

export interface Progress {
  lesson_id: string;
  course_id: string;
  position_ms: number;
  completed: boolean;
  updated_at: string;
}

export interface Rendition {
  name: string;
  kind: 'video' | 'audio';
  width: number | null;
  height: number | null;
  frame_rate: number | null;
  bytes: number;
  bandwidth: number;
  average_bandwidth: number;
  codecs: string;
}

/** Which part of a recording is the lesson, in its own time. */
export interface Trim {
  in_ms: number;
  /** Null: to its end. */
  out_ms: number | null;
}

export interface Asset {
  id: string;
  lesson_id: string;
  filename: string | null;
  state: AssetState;
  /** 0 to 1. */
  progress: number;
  duration_ms: number | null;
  source_bytes: number | null;
  /** For whoever teaches; absent: the whole recording. */
  trim?: Trim;
  renditions: Rendition[];
  /** While the rest is being made: how much can be played. */
  playable_ms?: number;
  /** Why it is this ladder, for whoever teaches. */
  why?: string[];
  failure?: { code: string; message: string; retryable: boolean } | null;
  created_at: string;
  updated_at: string;
}

export interface Caption {
  /** BCP 47. */
  language: string;
  label: string;
  kind: 'captions' | 'subtitles';
  origin: 'uploaded' | 'source';
  cues: number;
  created_at: string;
}

export interface CaptionList {
  items: Caption[];
  /** Whether players get exactly these. */
  published: boolean;
}

/** Size of the picture that the stills are parts of, pixels. */
export interface ChapterSheet {
  width: number;
  height: number;
}

export interface Chapter {
  start_ms: number;
  title: string;
  still: { x: number; y: number; width: number; height: number } | null;
}

export interface ChaptersAnswer {
  items: Chapter[];
  sheet: ChapterSheet | null;
}

export interface PlaybackAnswer {
  session_id: string;
  token: string;
  expires_at: string;
  hls_url: string;
  hls_native_url: string;
  storyboard_url: string | null;
  chapters_url: string | null;
  waveform_url: string | null;
  duration_ms: number | null;
  /** More of it is being made: the playlists get longer. */
  growing: boolean;
  heartbeat_url: string;
  position_ms: number;
}

export interface HeartbeatAnswer {
  token: string;
  expires_at: string;
}
