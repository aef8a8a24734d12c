// Seeks through a lecture of slides: hls.js and Shaka Player as published, then the lesson's own page. Which slide is on the
// screen is read from squares in its picture. Started by tests/seeks.rs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { close, env, look, open, person, pictures, quiet, until, url } from "./stage.mjs";

/** Where the lesson is and who may see it; the lecture as it was drawn. */
const lesson = JSON.parse(env("LECTERN_LESSON"));
const lecture = JSON.parse(env("LECTERN_SLIDES"));
const seed = Number(env("LECTERN_TEST_SEED"));
const SEEKS = 100;
/** From the moment that the place is buffered, milliseconds. */
const WITHIN_MS = 500;
/** How far from its time a slide may change while it plays, seconds. */
const CHANGE_S = 0.1;

const read = (name) => readFileSync(fileURLToPath(import.meta.resolve(name)), "utf8");
const scripts = {
  // The one that the pages of the application are built with.
  hls: read("../../web/node_modules/hls.js/dist/hls.min.js"),
  shaka: read("shaka-player"),
  ours: read("./seeks-page.js"),
};

// The player's page does not come over the network, so Chromium takes it for one of another network than the server's.
before(() => open("--disable-features=LocalNetworkAccessChecks"));
after(close);

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function random(from) {
  let state = from >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Places to go to: two of five close to a change, the others anywhere. Half of them while it plays. */
function places(from) {
  const next = random(from);
  const changes = lecture.starts.slice(1);
  return Array.from({ length: SEEKS }, () => {
    const change = changes[Math.floor(next() * changes.length)];
    const near = change + (next() - 0.5) * [0.1, 1][Math.floor(next() * 2)];
    const target = next() < 0.4 ? near : next() * (lecture.seconds - 0.05);
    // What plays at the end comes to it, and would begin again.
    const playing = next() < 0.5 && target < lecture.seconds - 3;
    return { target, playing };
  });
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const ms = (number) => (Number.isFinite(number) ? `${Math.round(number)} ms` : "never");

/** What `POST /lessons/{id}/playback` answers. */
async function beginPlayback() {
  const answer = await fetch(`${url}/api/v1/lessons/${lesson.lesson}/playback`, {
    method: "POST",
    headers: { authorization: `Bearer ${lesson.access_token}`, "content-type": "application/json" },
    body: "{}",
  });
  assert.equal(answer.status, 201);
  return answer.json();
}

/** A page with nothing but a player, and the keys that it asked for. */
async function playerPage(player) {
  const context = await person({ viewport: { width: 1280, height: 720 } });
  const page = await context.newPage();
  const body = `<!doctype html><title>${player}</title><style>body{margin:0}video{width:100vw;height:100vh}</style><video></video>`;
  await page.route(`${url}/page`, (route) => route.fulfill({ contentType: "text/html", body }));
  await page.goto(`${url}/page`);
  const keys = [];
  page.on("request", (request) => {
    if (request.url().includes("/keys/")) keys.push({ url: request.url(), authorization: request.headers().authorization });
  });
  for (const content of [scripts[player], scripts.ours]) await page.addScriptTag({ content });
  const { token, hls_url } = await beginPlayback();
  await page.evaluate((told) => seeks.about(told), lecture);
  await page.evaluate(([name, told]) => seeks.begin(name, told), [player, { url: new URL(hls_url, url).href, token }]);
  return { page, keys, token };
}

function reported(player, done) {
  const after = done.map(({ afterBuffered }) => afterBuffered);
  const all = done.map(({ afterSeek }) => afterSeek);
  const buffered = done.filter(({ atOnce }) => atOnce).length;
  return (
    `${player}: ${done.length} seeks, ${buffered} of them to what was buffered; the slide after buffering: median ${ms(median(after))}, ` +
    `worst ${ms(Math.max(...after))}; after the seek: median ${ms(median(all))}, worst ${ms(Math.max(...all))}`
  );
}

/** What was wrong with a seek, if anything was. */
function fault({ target, playing, atOnce, afterBuffered, at, mediaTime, wrong, stays, rights }) {
  const late = !(afterBuffered <= WITHIN_MS);
  if (!late && rights.includes(stays)) return [];
  const what = late ? `right after: ${ms(afterBuffered)}, before that slide ${wrong || stays}` : `slide ${stays} afterwards`;
  const how = `${playing ? "playing" : "paused"}, ${atOnce ? "buffered" : "not buffered"} at first`;
  return [`to ${target.toFixed(3)} s (${how}): ${what}, not ${rights.join(" or ")}; at ${at.toFixed(3)} s the frame of ${mediaTime} s`];
}

async function seekAround(player, page) {
  const done = [];
  for (const { target, playing } of places(seed)) {
    done.push(await page.evaluate((asked) => seeks.seek(asked), { target, playing, rest: playing ? 120 : 40 }));
  }
  console.log(reported(player, done));
  const faults = done.flatMap(fault);
  assert.equal(
    faults.length,
    0,
    `${player}, LECTERN_TEST_SEED=${seed}: ${faults.length} of ${SEEKS} seeks did not show the right slide within ${WITHIN_MS} ms, and to stay\n${faults.join("\n")}`,
  );
}

/** Each change of slides, played across. */
async function playAcross(player, page) {
  const told = [];
  for (const [before, change] of lecture.starts.slice(1).entries()) {
    await page.evaluate((target) => seeks.seek({ target, playing: false, rest: 0 }), change - 1.1);
    const seen = await page.evaluate((end) => seeks.watch(end), change + 0.5);
    const { changes, media, took, sound } = seen;
    const what = `${player}, the change at ${change} s: ${JSON.stringify(seen)}`;
    assert.deepEqual(changes.map(({ slide }) => slide), [before + 2], what);
    assert.ok(Math.abs(changes[0].at - change) <= CHANGE_S, what);
    // The time of the element is the time of its sound.
    assert.ok(sound > 0 && Math.abs(media - took) < 0.5, what);
    told.push(changes[0].at - change);
  }
  console.log(`${player}: slides change ${told.map((late) => ms(late * 1000)).join(", ")} after their time while it plays`);
}

for (const player of ["hls", "shaka"]) {
  test(`${player} shows the right slide after each seek`, { timeout: 180_000 }, async () => {
    const { page, keys, token } = await playerPage(player);
    await seekAround(player, page);
    await playAcross(player, page);
    assert.deepEqual(await page.evaluate(() => seeks.trouble), []);
    assert.ok(keys.length > 0, "it plays what is encrypted");
    for (const key of keys) assert.equal(key.authorization, `Bearer ${token}`, key.url);
    await page.context().close();
    quiet();
  });
}

const id = (page, name) => page.getByTestId(name);
const onScreen = (page) => page.evaluate(() => seeks.onScreen());

async function lessonPage() {
  const context = await person();
  const page = await context.newPage();
  await page.goto("/sign-in");
  await page.getByLabel("Email").fill(lesson.email);
  await page.getByLabel("Password").fill(lesson.password);
  await id(page, "submit").click();
  await id(page, "current-user").waitFor();
  await page.goto(`/courses/${lesson.course}/lessons/${lesson.lesson}`);
  await id(page, "player-start").waitFor();
  await page.evaluate(scripts.ours);
  await page.evaluate((told) => seeks.about(told), lecture);
  return page;
}

/** The list has a chapter for each slide, with its time and its picture. */
async function chaptersAreShown(page) {
  await until("chapters have stills", async () => (await page.locator(".chapter-picture").count()) === lecture.starts.length);
  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds) % 60).padStart(2, "0")}`;
  assert.deepEqual(await page.locator(".chapter-time").allInnerTexts(), lecture.starts.map(clock));
  const slides = await page.locator(".chapter-picture").evaluateAll((all) =>
    Promise.all(
      all.map(async ({ style }) => {
        const [x, y] = style.backgroundPosition.split(" ").map((part) => -Number.parseFloat(part));
        const url = style.backgroundImage.slice(5, -2);
        // The part that is shown, in pixels of the whole picture.
        const sheet = new Image();
        sheet.src = url;
        await sheet.decode();
        const scale = sheet.naturalWidth / Number.parseFloat(style.backgroundSize);
        const part = [x, y, Number.parseFloat(style.width), Number.parseFloat(style.height)].map((length) => length * scale);
        return (await seeks.slidesOf(url, [part]))[0];
      }),
    ),
  );
  assert.deepEqual(slides, lecture.starts.map((_, at) => at + 1), "each chapter has its slide's picture");
}

/** Choosing a chapter shows its slide, whatever was shown before. */
async function chaptersLead(page) {
  const took = [];
  for (const at of [3, 1, 5, 0, 4, 2]) {
    const began = performance.now();
    await id(page, "chapter").nth(at).click();
    await until(`slide ${at + 1} is shown`, async () => (await onScreen(page)) === at + 1, 5_000);
    took.push(performance.now() - began);
    const now = await id(page, "video").evaluate((element) => element.currentTime);
    const since = now - lecture.starts[at];
    // It plays on from there.
    assert.ok(since > -0.05 && since < 0.5 + (performance.now() - began) / 1000, `chapter ${at + 1} leads to ${now} s`);
    await until("the list says so", () => page.locator(`li:nth-child(${at + 1}) > .chapter[aria-current]`).isVisible());
  }
  console.log(`lesson page: the slide of a chosen chapter: median ${ms(median(took))}, worst ${ms(Math.max(...took))} after the click`);
}

/** Every picture of the storyboard shows a slide that is on the screen in its time. */
async function storyboardIsRight(page) {
  const tiles = await id(page, "video").evaluate(async (video) => {
    const [thumbnails] = Array.from(video.textTracks).filter(({ kind }) => kind === "metadata");
    const told = Array.from(thumbnails.cues, ({ startTime, endTime, text }) => ({ startTime, endTime, url: new URL(text, document.querySelector("track[kind=metadata]").src) }));
    const parts = told.map(({ url }) => url.hash.replace("#xywh=", "").split(",").map(Number));
    const slides = await seeks.slidesOf(told[0].url.href.split("#")[0], parts);
    return told.map(({ startTime, endTime }, at) => ({ startTime, endTime, slide: slides[at], rights: seeks.slidesBetween(startTime, endTime) }));
  });
  assert.ok(tiles.length >= lecture.seconds / 4, `${tiles.length} pictures`);
  assert.deepEqual(tiles.filter(({ slide, rights }) => !rights.includes(slide)), []);
}

/** What is seen over the time line is the slide of the place under the pointer. */
async function previewsAreShown(page) {
  const box = await id(page, "seek").boundingBox();
  const ends = [...lecture.starts.slice(1), lecture.seconds];
  for (const [at, start] of lecture.starts.entries()) {
    const middle = (start + ends[at]) / 2 / lecture.seconds;
    await page.mouse.move(box.x + box.width * middle, box.y + box.height / 2, { steps: 4 });
    const preview = () =>
      id(page, "seek").evaluate((range) => {
        const thumbnail = range.shadowRoot.querySelector("media-preview-thumbnail");
        const picture = thumbnail.shadowRoot.querySelector("img");
        const coords = thumbnail.getAttribute("mediapreviewcoords");
        // It comes and goes slowly.
        const seen = getComputedStyle(thumbnail).visibility === "visible" && getComputedStyle(range.shadowRoot.querySelector("[part~=preview-box]")).opacity === "1";
        if (!picture.naturalWidth || !coords || !seen) return null;
        const { width, height } = thumbnail.getBoundingClientRect();
        return { slide: seeks.slideIn(picture, ...coords.split(" ").map(Number)), time: Number(range.getAttribute("mediapreviewtime")), width, height };
      });
    await until(`slide ${at + 1} is shown over the time line`, async () => (await preview())?.slide === at + 1, 5_000);
    const { time, width, height } = await preview();
    assert.ok(Math.abs(time - middle * lecture.seconds) < 1.5, `the pointer is at ${middle * lecture.seconds} s, the preview at ${time} s`);
    assert.ok(width >= 100 && height >= 50, `the preview has ${width} by ${height} pixels`);
    if (pictures) await page.screenshot({ path: join(pictures, `42-slides-preview-${at + 1}.png`) });
  }
}

test("the lesson's page shows chapters and storyboard, and leads to the right slides", { timeout: 120_000 }, async () => {
  const page = await lessonPage();
  await chaptersAreShown(page);
  await look(page, "40-slides-start");
  await id(page, "player-start").click();
  await id(page, "video").waitFor();
  await until("it plays", () => id(page, "video").evaluate((element) => !element.paused && element.currentTime > 0.2 && element.readyState >= 3));
  await chaptersLead(page);
  await id(page, "video").evaluate((element) => element.pause());
  await look(page, "41-slides-chapters");
  await storyboardIsRight(page);
  await previewsAreShown(page);
  await page.context().close();
  quiet();
});
