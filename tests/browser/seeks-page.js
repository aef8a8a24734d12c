// What the pages of seeks.test.mjs run: players as published, the slide that is on the screen, and how long a seek takes.

"use strict";

globalThis.seeks = (() => {
  /** How late a change may come on the screen while it plays, seconds. */
  const LATE_S = 0.1;
  /** What has not come this long after its place was buffered does not come, milliseconds. */
  const GIVE_UP_MS = 2_000;
  /** What `transcoder::graph::cadence` leaves between two frames of a picture that stands, about what Chromium assumes of every video. */
  const LONGEST_SAMPLE_S = 0.14;
  let starts, mark, frame;
  /** The times of the frames that were presented. */
  const presented = [];
  const pixels = new OffscreenCanvas(60, 10).getContext("2d", { willReadFrequently: true });

  /** `lecture`: when slides begin, the row of squares as parts of the picture, seconds of one frame of the source. */
  function about(lecture) {
    ({ starts, mark, frame } = lecture);
  }

  /** The slide in a part of a picture by its squares: white, black, three bits of its number, their parity. 0 if it is none. */
  function slideIn(picture, x, y, width, height) {
    pixels.drawImage(picture, x + mark.x * width, y + mark.y * height, mark.width * width, mark.height * height, 0, 0, 60, 10);
    const { data } = pixels.getImageData(0, 5, 60, 1);
    const levels = [0, 1, 2, 3, 4, 5].map((square) => data[(square * 10 + 5) * 4 + 1]);
    if (levels.some((level) => level > 70 && level < 185)) return 0;
    const [white, black, four, two, one, parity] = levels.map((level) => Number(level >= 185));
    return white === 1 && black === 0 && (four ^ two ^ one) === parity ? four * 4 + two * 2 + one : 0;
  }

  const video = () => document.querySelector("video");
  const onScreen = () => slideIn(video(), 0, 0, video().videoWidth, video().videoHeight);
  const nextFrame = () => new Promise(requestAnimationFrame);
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  /** Slides that may be seen from one place to another, where a change may come a frame early or late. */
  function slidesBetween(from, to, early = frame, late = frame) {
    const shown = (start, at) => start <= to + early && (starts[at + 1] ?? Infinity) > from - late;
    return starts.flatMap((start, at) => (shown(start, at) ? [at + 1] : []));
  }

  /** Whether a place is in what is buffered, or less than `early` before it. */
  function isBuffered(at, early = 0) {
    const { buffered } = video();
    for (let n = 0; n < buffered.length; n += 1) if (buffered.start(n) - early <= at && at < buffered.end(n)) return true;
    return false;
  }

  function watchFrames() {
    const element = video();
    const again = (_now, { mediaTime }) => {
      presented.push(mediaTime);
      element.requestVideoFrameCallback(again);
    };
    element.requestVideoFrameCallback(again);
  }

  const authorization = (token) => `Bearer ${token}`;
  const isKey = (asked) => new URL(asked, location.href).pathname.startsWith("/keys/");

  const players = {
    async hls({ url, token, trouble }) {
      const hls = new Hls({
        xhrSetup(xhr, asked) {
          if (!isKey(asked)) return;
          xhr.open("GET", asked, true);
          xhr.setRequestHeader("Authorization", authorization(token));
        },
      });
      // What it overcomes by itself is told as not fatal, like a stall.
      hls.on(Hls.Events.ERROR, (_name, { fatal, details }) => fatal && trouble.push(details));
      hls.loadSource(url);
      hls.attachMedia(video());
    },
    async shaka({ url, token, trouble }) {
      const player = new shaka.Player();
      await player.attach(video());
      player.getNetworkingEngine().registerRequestFilter((_type, request) => {
        if (isKey(request.uris[0])) request.headers.Authorization = authorization(token);
      });
      player.addEventListener("error", ({ detail }) => trouble.push(`${detail.category}.${detail.code}`));
      await player.load(url);
    },
  };

  const trouble = [];

  /** Begins to play and waits for the first picture. */
  async function begin(name, { url, token }) {
    watchFrames();
    await players[name]({ url, token, trouble });
    while (video().readyState < 2 && trouble.length === 0) await nextFrame();
  }

  /** Slides that may be seen after a seek to `target`: while it plays, also those of where it has come to since. */
  function rightsAt(target, playing, atOnce) {
    // Chromium takes what begins this soon after a place for what is there, as long as that is missing.
    const early = atOnce ? frame : 2 * LONGEST_SAMPLE_S;
    // While it is paused it goes by how long frames last on average: the one before a change stays that long after it.
    if (!playing) return slidesBetween(target, target, early, LONGEST_SAMPLE_S);
    const { currentTime } = video();
    return slidesBetween(Math.max(target, currentTime - LATE_S), Math.max(target, currentTime), early);
  }

  /** Since when the target has been buffered at most, and when a right slide was on the screen, milliseconds. */
  async function measure(target, playing) {
    const element = video();
    const before = presented.length;
    const began = performance.now();
    const atOnce = isBuffered(target);
    element.currentTime = target;
    // The last moment at which it was seen to be missing: what is measured from there is never too little.
    let missing = began;
    let wrong = 0;
    for (;;) {
      const now = performance.now();
      const slide = onScreen();
      const rights = rightsAt(target, playing, atOnce);
      // A player need not fetch what Chromium takes for there.
      if (!isBuffered(target, atOnce ? 0 : 2 * LONGEST_SAMPLE_S)) missing = now;
      else if (!element.seeking && element.readyState >= 2 && presented.length > before) {
        if (rights.includes(slide)) return { began, missing, shown: now, atOnce, wrong };
        wrong ||= slide;
      }
      if (now - missing > GIVE_UP_MS || now - began > 3 * GIVE_UP_MS) return { began, missing, shown: Infinity, atOnce, wrong };
      await nextFrame();
    }
  }

  /** Goes to `target`, paused or playing, and says what came of it. It stays there for `rest` milliseconds. */
  async function seek({ target, playing, rest }) {
    const element = video();
    if (!playing) element.pause();
    else if (element.paused) void element.play();
    const { began, missing, shown, atOnce, wrong } = await measure(target, playing);
    await pause(rest);
    await nextFrame();
    // It is there to stay, not only once.
    return {
      target,
      playing,
      atOnce,
      wrong,
      afterBuffered: shown - missing,
      afterSeek: shown - began,
      at: element.currentTime,
      mediaTime: presented.at(-1),
      stays: onScreen(),
      rights: rightsAt(target, playing, atOnce),
    };
  }

  /** Plays from where it stands until `end`: each slide that came, and when by the element's time, which is that of its sound. */
  async function watch(end) {
    const element = video();
    const sound = element.webkitAudioDecodedByteCount;
    const from = element.currentTime;
    const changes = [];
    let before = onScreen();
    const began = performance.now();
    await element.play();
    const playing = performance.now();
    while (element.currentTime < end && performance.now() - began < 20_000) {
      const now = element.currentTime;
      const slide = onScreen();
      if (slide !== before) changes.push({ slide, at: now });
      before = slide;
      await nextFrame();
    }
    return {
      changes,
      media: element.currentTime - from,
      took: (performance.now() - playing) / 1000,
      sound: element.webkitAudioDecodedByteCount - sound,
    };
  }

  /** The slides in parts of a picture that is loaded from `url`, each part as [x, y, width, height]. */
  async function slidesOf(url, parts) {
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    return parts.map((part) => slideIn(picture, ...part));
  }

  return { about, onScreen, slideIn, slidesBetween, slidesOf, begin, seek, watch, trouble };
})();
