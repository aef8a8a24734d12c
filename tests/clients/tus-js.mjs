// Uploads one file with tus-js-client as published, pausing and resuming on the way.
// Arguments: endpoint, access token, lesson id, file, part size in bytes, number of pauses.
// Prints one JSON object: {url, urls, requests, retries, pauses}; urls counts the different uploads it worked on.
import { createReadStream, statSync } from 'node:fs'
import { basename } from 'node:path'
import { Upload } from 'tus-js-client'

const [endpoint, token, lessonId, file, partBytes, pauses] = process.argv.slice(2)
const size = statSync(file).size
const urls = new Set()
const seen = { url: null, urls: 0, requests: 0, retries: 0, pauses: 0 }
// Where it pauses: in the middle of equal stretches of the file.
const pauseAt = Array.from({ length: Number(pauses) }, (_, n) => Math.floor((size * (n + 0.5)) / Number(pauses)))

const upload = new Upload(createReadStream(file), {
  endpoint,
  uploadSize: size,
  chunkSize: Number(partBytes),
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: basename(file), filetype: 'video/mp4', lesson_id: lessonId },
  // The client itself cannot read first bytes from an empty file.
  uploadDataDuringCreation: size > 0,
  retryDelays: Array(60).fill(250),
  onUploadUrlAvailable: () => { urls.add(upload.url) },
  onBeforeRequest: () => { seen.requests += 1 },
  onShouldRetry: (error) => {
    const status = error.originalResponse?.getStatus() ?? 0
    const again = status < 400 || status >= 500 || status === 409 || status === 423
    if (again) seen.retries += 1
    return again
  },
  onProgress: (sent) => {
    if (pauseAt.length > 0 && sent >= pauseAt[0]) {
      pauseAt.shift()
      seen.pauses += 1
      upload.abort().then(() => setTimeout(() => upload.start(), 100))
    }
  },
  onError: (error) => {
    console.error(String(error))
    process.exit(1)
  },
  onSuccess: () => {
    seen.url = upload.url
    seen.urls = urls.size
    console.log(JSON.stringify(seen))
    process.exit(0)
  },
})
upload.start()
