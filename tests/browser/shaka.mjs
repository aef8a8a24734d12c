// Plays a presentation in Chromium with Shaka Player as published: chooses captions and sound, waits until it shows the first and
// plays the second. Started by tests/tracks.rs. Arguments: the server's URL, the answer to POST /lessons/{id}/playback as JSON,
// the language of the captions, the language of the sound.
// Prints JSON: the tracks on offer, the picture and the cues that were shown, what was played.

import { chromium } from "playwright-core";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [server, answer, captions, sound] = process.argv.slice(2);
const script = readFileSync(fileURLToPath(import.meta.resolve("shaka-player")), "utf8");

const browser = await chromium.launch({
  executablePath: process.env.LECTERN_CHROMIUM,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    // The page does not come over the network, so Chromium takes it for one of another network than the server's.
    "--disable-features=LocalNetworkAccessChecks",
  ],
});
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.route(`${server}/page`, (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html><title>shaka</title><video muted></video>" }));
  await page.goto(`${server}/page`);
  await page.addScriptTag({ content: script });
  const seen = await page.evaluate(
    async ({ answer, captions, sound }) => {
      const video = document.querySelector("video");
      const player = new shaka.Player();
      await player.attach(video);
      player.getNetworkingEngine().registerRequestFilter((type, request) => {
        if (new URL(request.uris[0], location.href).pathname.startsWith("/keys/")) {
          request.headers.Authorization = `Bearer ${answer.token}`;
        }
      });
      const errors = [];
      player.addEventListener("error", (event) => errors.push(`${event.detail.category}.${event.detail.code}`));
      await player.load(new URL(answer.hls_url, location.href).href);
      const texts = player.getTextTracks().map(({ language, label, kind }) => ({ language, label, kind }));
      const sounds = [...new Set(player.getVariantTracks().map(({ language }) => language))];
      const text = player.getTextTracks().find((track) => track.language === captions);
      player.selectTextTrack(text);
      await player.setTextTrackVisibility?.(true);
      if (sound) player.selectAudioLanguage(sound);
      if (answer.storyboard_url) await player.addThumbnailsTrack(new URL(answer.storyboard_url, location.href).href, "text/vtt");
      const image = player.getImageTracks()[0];
      const thumbnail = image ? await player.getThumbnails(image.id, 12) : null;
      await video.play();
      const shown = new Set();
      const end = performance.now() + 15_000;
      while (performance.now() < end && (shown.size < 2 || video.currentTime < 4)) {
        for (const track of video.textTracks) {
          for (const cue of track.activeCues ?? []) shown.add(`${cue.startTime.toFixed(3)} ${cue.text}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const heard = player.getVariantTracks().find((track) => track.active)?.language;
      const picture = { height: video.videoHeight, frames: video.getVideoPlaybackQuality().totalVideoFrames };
      // Variants without a picture that the player would choose from.
      const blind = player.getVariantTracks().filter((track) => track.videoId === null).length;
      return {
        texts,
        sounds,
        heard,
        picture,
        blind,
        shown: [...shown],
        played: video.currentTime,
        decoded: video.webkitAudioDecodedByteCount,
        thumbnail: thumbnail && { x: thumbnail.positionX, y: thumbnail.positionY, width: thumbnail.width, height: thumbnail.height },
        errors,
      };
    },
    { answer: JSON.parse(answer), captions, sound },
  );
  console.log(JSON.stringify({ ...seen, complaints }));
} finally {
  await browser.close();
}
