// The whole job in a browser, through the pages alone: an instructor makes and uploads, a learner enrolls, plays and
// leaves. One test after the other; each goes on where the one before ended.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { close, env, look, open, person, pictures, quiet, tabTo, until } from "./stage.mjs";

const lecture = env("LECTERN_LECTURE");
const speech = env("LECTERN_SPEECH");
const PASSWORD = "correct horse battery";
const SEGMENT_S = 4;

let instructor, learner, stranger;
/** The instructor's, the learner's page. */
let teach, watch;
let coursePath, lessonPath, editPath;

const id = (page, name) => page.getByTestId(name);
const path = (page) => new URL(page.url()).pathname;
const video = (page, read) => id(page, "video").evaluate(read);

/** What follows does not run on after a failure: it would only repeat it. */
let broken = null;
function step(name, work) {
  test(name, { timeout: 90_000 }, async (t) => {
    if (broken) return t.skip(`after the failure of: ${broken}`);
    try {
      await work();
      quiet();
    } catch (error) {
      broken = name;
      throw error;
    }
  });
}

before(() => open());
after(close);

step("the empty site says what it is", async () => {
  stranger = await person();
  const page = await stranger.newPage();
  await page.goto("/");
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.getByText("No course is published yet").waitFor();
  await look(page, "01-catalogue-empty");
  await page.goto("/sign-in");
  await id(page, "sign-in-form").waitFor();
  await look(page, "02-sign-in");
  await page.getByLabel("Email").fill("nobody@school.example");
  await page.getByLabel("Password").fill("not the password");
  await id(page, "submit").click();
  await page.getByRole("alert").waitFor();
  await look(page, "03-sign-in-refused");
  quiet(/^401 POST .*\/auth\/login$/, /^error: Failed to load resource: .*401/);
  await page.goto("/no/such/page");
  await page.getByRole("heading", { level: 1 }).waitFor();
  await look(page, "04-not-found");
  await page.close();
});

async function register(page, name, email, kind) {
  await page.getByLabel(kind).check();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await id(page, "submit").click();
  await id(page, "current-user").waitFor();
}

step("an instructor registers and makes a course and a lesson", async () => {
  instructor = await person();
  teach = await instructor.newPage();
  await teach.goto("/register");
  await id(teach, "register-form").waitFor();
  await look(teach, "05-register");
  await register(teach, "Ines Instructor", "ines@school.example", "I teach");
  await teach.waitForURL("**/teach");
  await look(teach, "06-my-courses-empty");
  await id(teach, "new-course").first().click();
  await id(teach, "new-course-form").waitFor();
  await look(teach, "07-new-course");
  await teach.getByLabel("Course title").fill("Light and how it bends");
  await teach.getByLabel("Description").fill("Refraction, lenses and the rainbow, for everybody who has wondered why a straw looks broken in a glass of water.");
  await id(teach, "submit").click();
  await teach.waitForURL(/\/teach\/courses\/crs_/);
  coursePath = path(teach).replace("/teach", "");
  await id(teach, "new-lesson").first().waitFor();
  await look(teach, "08-edit-course-empty");
  await id(teach, "new-lesson").first().click();
  await id(teach, "new-lesson-form").waitFor();
  await look(teach, "09-new-lesson");
  await teach.getByLabel("Lesson title").fill("Why a straw looks broken");
  await id(teach, "submit").click();
  await teach.waitForURL(/\/lessons\/les_/);
  editPath = path(teach);
  lessonPath = editPath.replace("/teach", "");
  await id(teach, "drop-zone").waitFor();
  await teach.getByText("up to").waitFor();
  await look(teach, "10-edit-lesson-idle");
});

step("an upload pauses, survives a reload, and goes on where it stopped", async () => {
  // Slow enough to be caught on the way.
  const network = await instructor.newCDPSession(teach);
  const uploadThroughput = statSync(lecture).size / 8;
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput };
  await network.send("Network.enable");
  await network.send("Network.emulateNetworkConditions", slow);
  const offsets = [];
  teach.on("request", (request) => {
    if (request.method() === "PATCH") offsets.push(Number(request.headers()["upload-offset"]));
  });
  const percent = async () => Number.parseInt(await id(teach, "upload-percent").innerText(), 10);

  await id(teach, "file-input").setInputFiles(lecture);
  await until("some of it is sent", async () => (await percent()) >= 15);
  await id(teach, "upload-pause").click();
  await teach.locator('[data-testid=upload][data-status=paused]').waitFor();
  const paused = await percent();
  assert.ok(paused < 90, `too fast to be paused: ${paused} %`);
  await look(teach, "11-edit-lesson-paused");
  assert.equal(await percent(), paused, "a paused upload stands still");
  await id(teach, "upload-resume").click();
  // The server may have more than the page knew of: the figure rises before the next PATCH is sent.
  await until("it goes on", async () => offsets.length > 1 && (await percent()) > paused);
  assert.ok(offsets.at(-1) > 0, `it goes on from what the server has, not from ${offsets}`);
  await look(teach, "12-edit-lesson-uploading");

  await teach.reload();
  await id(teach, "unfinished").waitFor();
  await look(teach, "13-edit-lesson-unfinished");
  await network.send("Network.emulateNetworkConditions", { ...slow, uploadThroughput: -1 });
  const before = offsets.length;
  await id(teach, "file-input").setInputFiles(lecture);
  await id(teach, "asset").waitFor();
  assert.ok(offsets[before] > 0, `the same file goes on where it stopped, not at ${offsets.slice(before)}`);
});

step("the lecture becomes ready before the instructor's eyes", async () => {
  const asset = id(teach, "asset");
  const seen = new Set();
  const shares = [];
  let looked = false;
  await until(
    "the lecture is ready",
    async () => {
      // Both at one moment: the percentage goes away with the state.
      const { state, percent } = await asset.evaluate((node) => ({
        state: node.dataset.state,
        percent: node.querySelector("[data-testid=processing-percent]")?.textContent,
      }));
      seen.add(state);
      assert.notEqual(state, "failed", await asset.innerText());
      if (state === "processing") {
        shares.push(Number.parseInt(percent, 10));
        if (!looked) await look(teach, "14-edit-lesson-processing");
        looked = true;
      }
      return state === "ready";
    },
    75_000,
  );
  assert.ok(seen.has("processing"), `states seen: ${[...seen]}`);
  assert.deepEqual(shares.toSorted((a, b) => a - b), shares, "progress never goes back");
  await asset.getByText("720p").waitFor();
  await look(teach, "15-edit-lesson-ready");
});

step("captions are uploaded, refused with the line that is wrong, and removed", async () => {
  const editor = id(teach, "captions-editor");
  await editor.waitFor();
  const wrong = join(dirname(lecture), "wrong.srt");
  writeFileSync(wrong, "1\n00:00:01,000 --> 00:00:02,000\nOne\n\nTwo\n");
  await id(teach, "captions-file").setInputFiles(wrong);
  await editor.getByRole("textbox", { name: "Language" }).fill("en");
  await id(teach, "captions-save").click();
  await editor.getByRole("alert").getByText("Line 5").waitFor();
  await look(teach, "15-edit-lesson-captions-refused");
  quiet(/^400 PUT .*\/captions\/en/, /^error: Failed to load resource: .*400/);
  for (const [language, words] of [["en", "Light is slower in water."], ["de", "Licht ist im Wasser langsamer."]]) {
    const file = join(dirname(lecture), `${language}.srt`);
    writeFileSync(file, `1\n00:00:00,200 --> 00:00:11,000\n${words}\n\n2\n00:00:11,500 --> 00:00:23,000\n<i>${words}</i>\n`);
    await id(teach, "captions-file").setInputFiles(file);
    await editor.getByRole("textbox", { name: "Language" }).fill(language);
    await id(teach, "captions-save").click();
    await id(teach, "captions-row").getByText(`(${language})`).waitFor();
  }
  await until("players get them", async () => (await editor.getAttribute("data-published")) === "true");
  await look(teach, "15-edit-lesson-captions");
  await teach.getByRole("button", { name: "Remove Deutsch" }).click();
  await id(teach, "confirm").click();
  await until("one is left", async () => (await id(teach, "captions-row").count()) === 1);
  await until("players get that one", async () => (await editor.getAttribute("data-published")) === "true");
});

step("chapters were found in the picture, and are named", async () => {
  const rows = id(teach, "chapter-row");
  await rows.first().waitFor();
  assert.equal(await rows.count(), 2, await id(teach, "chapters-editor").innerText());
  assert.match(await rows.nth(1).innerText(), /0:12/);
  await id(teach, "chapter-title").nth(0).fill("A straw in a glass");
  await id(teach, "chapter-time").fill("0:18");
  await id(teach, "chapter-add").click();
  await id(teach, "chapter-title").nth(2).fill("Red and violet");
  await id(teach, "chapters-save").click();
  await id(teach, "toasts").getByText("Saved").waitFor();
  await until("the stills are there", () => teach.locator(".chapter-picture").count().then((count) => count === 3));
  await look(teach, "15-edit-lesson-chapters");
});

step("a file that is no lecture says why, and offers nothing that cannot help", async () => {
  await teach.goto(`/teach${coursePath}`);
  await id(teach, "new-lesson").first().click();
  await teach.getByLabel("Lesson title").fill("Lenses");
  await id(teach, "submit").click();
  await teach.waitForURL(/\/lessons\/les_/);
  const notes = join(dirname(lecture), "Notes.pdf");
  writeFileSync(notes, "not a lecture");
  await id(teach, "file-input").setInputFiles(notes);
  await id(teach, "file-problem").waitFor();
  await look(teach, "16-edit-lesson-refused-file");
  const text = join(dirname(lecture), "Lecture 2.mp4");
  writeFileSync(text, "this is no video, only its name says so\n".repeat(400));
  await id(teach, "file-input").setInputFiles(text);
  const failure = id(teach, "asset-failure");
  await failure.waitFor({ timeout: 30_000 });
  const said = await failure.innerText();
  assert.match(said, /[a-z]{3,} [a-z]{2,} [a-z]{2,}/i, "the reason is a sentence");
  assert.ok(!said.includes(await failure.getAttribute("data-code")), `no raw code: ${said}`);
  assert.equal(await id(teach, "asset-retry").count(), 0, "trying the same file again cannot help");
  await id(teach, "drop-zone").waitFor();
  await look(teach, "17-edit-lesson-failed");
  // The way on: another file, here one without a picture.
  await id(teach, "file-input").setInputFiles(speech);
  await teach.locator("[data-testid=asset][data-state=ready]").waitFor({ timeout: 60_000 });
  await look(teach, "17-edit-lesson-sound-only");
});

step("a text lesson, one without its lecture, and the course is published", async () => {
  await teach.goto(`/teach${coursePath}`);
  await id(teach, "new-lesson").first().click();
  await teach.getByLabel("Lesson title").fill("Prisms");
  await id(teach, "submit").click();
  await id(teach, "drop-zone").waitFor();
  await teach.goto(`/teach${coursePath}`);
  await id(teach, "new-lesson").first().click();
  await teach.getByLabel("Lesson title").fill("Read: the rainbow");
  await teach.getByLabel("Text", { exact: true }).check();
  await id(teach, "submit").click();
  await teach.waitForURL(/\/lessons\/les_/);
  await id(teach, "lesson-form").waitFor();
  await teach.locator("textarea").fill("Every drop bends red a little less than violet. What you see is the sum of many drops, each sending you one colour.");
  await id(teach, "save-lesson").click();
  await id(teach, "toasts").getByText("Saved").waitFor();
  await look(teach, "18-edit-text-lesson");
  await teach.goto(`/teach${coursePath}`);
  await id(teach, "edit-lesson-row").nth(3).waitFor();
  await look(teach, "19-edit-course");
  await id(teach, "publish").click();
  await id(teach, "published-status").getByText("Published").first().waitFor();
  await teach.goto("/teach");
  await id(teach, "taught-course").waitFor();
  await look(teach, "20-my-courses");
  await teach.goto(coursePath);
  await id(teach, "edit-course").waitFor();
  await look(teach, "21-course-owner");
});

step("a stranger sees the course, and why its lesson does not play", async () => {
  const page = await stranger.newPage();
  await page.goto("/");
  await id(page, "course-card").waitFor();
  await look(page, "22-catalogue");
  await id(page, "course-card").getByRole("link").click();
  await id(page, "enroll").waitFor();
  await look(page, "23-course-stranger");
  await page.goto(lessonPath);
  await id(page, "lesson-locked").getByText("Sign in to open this lesson").waitFor();
  await look(page, "24-lesson-signed-out");
  await page.close();
});

step("a learner registers; not enrolled, the lesson says so", async () => {
  learner = await person();
  watch = await learner.newPage();
  await watch.goto(lessonPath);
  await id(watch, "lesson-locked").getByRole("link", { name: "Sign in" }).click();
  await watch.getByRole("link", { name: "Register" }).last().click();
  await register(watch, "Lee Learner", "lee@school.example", "I learn");
  await watch.waitForURL(`**${lessonPath}`);
  await id(watch, "player-start").click();
  const notice = id(watch, "player-notice");
  await notice.waitFor();
  assert.equal(await notice.getAttribute("data-code"), "not_enrolled");
  assert.match(await notice.innerText(), /You are not enrolled in this course/);
  await look(watch, "25-lesson-not-enrolled");
  quiet(/^403 POST .*\/playback$/, /^error: Failed to load resource: .*403/);
  await id(watch, "notice-course").click();
  await id(watch, "enroll").click();
  await id(watch, "enrolled").waitFor();
  await id(watch, "toasts").getByText("You are enrolled").waitFor();
  await look(watch, "26-course-learner");
});

/** Segments of renditions that were asked for since. */
const renditions = [];
const renditionOf = (asked) => new URL(asked).pathname.match(/^\/media\/[^/]+\/[^/]+\/(.*)$/)?.[1];

step("the lesson plays, two segments and more", async () => {
  watch.on("request", (request) => {
    const file = renditionOf(request.url());
    if (file) renditions.push(file);
  });
  await id(watch, "continue").click();
  await id(watch, "player-start").waitFor();
  await id(watch, "poster").waitFor();
  await until("the poster is a picture", () => id(watch, "poster").evaluate((image) => image.complete && image.naturalWidth === 1280));
  await until("chapters have stills", () => watch.locator(".chapter-picture").count().then((count) => count === 3));
  await look(watch, "27-lesson-start");
  await id(watch, "player-start").click();
  await id(watch, "video").waitFor();
  await until("it plays past two segments", () => video(watch, (element) => element.currentTime).then((now) => now > 2 * SEGMENT_S + 0.5), 30_000);
  assert.ok(await video(watch, (element) => element.videoWidth > 0 && element.getVideoPlaybackQuality().totalVideoFrames > 100));
  assert.ok((await video(watch, (element) => element.webkitAudioDecodedByteCount)) > 0, "sound was decoded");
});

step("the waveform of the sound stands on the time line, for nobody to stumble over", async () => {
  await watch.mouse.move(500, 400);
  const waveform = id(watch, "waveform");
  await waveform.waitFor({ state: "attached" });
  const [line, drawn] = await Promise.all([id(watch, "seek").boundingBox(), waveform.boundingBox()]);
  assert.ok(drawn.width > 0.9 * line.width && drawn.width < line.width && drawn.x > line.x, "as wide as the line");
  assert.equal(await waveform.getAttribute("aria-hidden"), "true");
  assert.equal(await waveform.evaluate((element) => element.tabIndex), -1);
  const levels = (await waveform.locator("path").getAttribute("d")).match(/V[\d.]+/g).map((level) => Number(level.slice(1)));
  assert.ok(levels.length > 400 && Math.min(...levels) === 0 && new Set(levels).size > 20, "speech has a shape");
});

step("the quality menu changes what is loaded", async () => {
  const openMenu = async () => {
    // From the beginning, so that there is something left to load and to play.
    await watch.keyboard.press("0");
    await watch.mouse.move(400, 400);
    await watch.mouse.move(500, 400);
    await id(watch, "quality").click();
  };
  await openMenu();
  await look(watch, "28-lesson-quality-menu");
  const choices = await id(watch, "quality-choice").allInnerTexts();
  assert.deepEqual(choices, ["Auto", "720p", "480p", "360p"]);
  const heightNow = () => video(watch, (element) => element.videoHeight);
  for (const wanted of [360, 720]) {
    if ((await id(watch, "quality-choice").count()) === 0) await openMenu();
    const before = renditions.length;
    await watch.getByRole("menuitemradio", { name: `${wanted}p` }).click();
    await until(`${wanted}p is shown`, async () => (await heightNow()) === wanted, 20_000);
    const since = renditions.slice(before);
    assert.ok(since.some((file) => file.includes(`${wanted}p`)), `segments of ${wanted}p are loaded, not ${since}`);
    assert.equal((await id(watch, "quality").innerText()).trim(), `${wanted}p`);
  }
  await id(watch, "video").evaluate((element) => element.pause());
});

step("captions are chosen from a menu, by key, and shown in their time", async () => {
  const openMenu = async () => {
    await watch.mouse.move(400, 400);
    await watch.mouse.move(500, 400);
    await id(watch, "captions").click();
  };
  const shown = () =>
    video(watch, (element) =>
      Array.from(element.textTracks)
        .filter((track) => track.mode === "showing" && track.kind !== "chapters")
        .flatMap((track) => Array.from(track.activeCues ?? [], (cue) => cue.text)),
    );
  assert.equal(await id(watch, "captions").getAttribute("aria-label"), "CC captions: off");
  await openMenu();
  assert.deepEqual(await id(watch, "captions-choice").allInnerTexts(), ["Off", "English"]);
  await look(watch, "28-lesson-captions-menu");
  if ((await id(watch, "captions-choice").count()) === 0) await openMenu();
  await watch.getByRole("menuitemradio", { name: "English" }).click();
  await watch.keyboard.press("1");
  await until("the first is shown", async () => (await shown()).join() === "Light is slower in water.");
  await look(watch, "28-lesson-captions");
  await watch.keyboard.press("6");
  await until("the second is shown", async () => (await shown()).join() === "<i>Light is slower in water.</i>");
  assert.equal(await id(watch, "captions").getAttribute("aria-label"), "CC captions: English");
  await watch.keyboard.press("c");
  await until("none is shown", async () => (await shown()).length === 0);
  await watch.keyboard.press("c");
  await until("it is shown again", async () => (await shown()).length === 1);
});

step("chapters lead to their places, by pointer and by keyboard, and say where it stands", async () => {
  const now = () => video(watch, (element) => element.currentTime);
  const current = () => watch.locator(".chapter[aria-current]").innerText();
  await watch.getByRole("button", { name: /Red and violet/ }).click();
  await until("it goes on at the chapter", async () => Math.abs((await now()) - 18) < 2);
  await until("the list says so", async () => /Red and violet/.test(await current()));
  await id(watch, "video").evaluate((element) => element.pause());
  await tabTo(watch, id(watch, "chapter").nth(0));
  await watch.keyboard.press("Enter");
  await until("the key does the same", async () => (await now()) < 4);
  await until("the list says that", async () => /A straw in a glass/.test(await current()));
  await id(watch, "video").evaluate((element) => element.pause());
  await look(watch, "28-lesson-chapters");
});

step("the time line shows what is there before one goes there", async () => {
  const box = await id(watch, "seek").boundingBox();
  await watch.mouse.move(box.x + box.width * 0.7, box.y + box.height / 2, { steps: 4 });
  const preview = id(watch, "seek").evaluateHandle((range) => range.shadowRoot.querySelector("media-preview-thumbnail"));
  const thumbnail = await preview;
  await until("a picture is shown", () => thumbnail.evaluate((node) => node.shadowRoot.querySelector("img")?.naturalWidth > 160));
  await until("of that place", () => thumbnail.evaluate((node) => node.getAttribute("mediapreviewcoords") === "1280 0 160 90"));
  await watch.screenshot({ path: join(pictures || dirname(lecture), "28-lesson-preview-desk.png") });
});

step("keys and the time line seek", async () => {
  const now = () => video(watch, (element) => element.currentTime);
  await watch.keyboard.press("3");
  await until("a digit jumps to its tenth", async () => Math.abs((await now()) - 0.3 * (await video(watch, (element) => element.duration))) < 0.6);
  const box = await id(watch, "seek").boundingBox();
  await watch.mouse.click(box.x + box.width * 0.55, box.y + box.height / 2);
  await until("a click on the time line seeks", async () => Math.abs((await now()) / (await video(watch, (element) => element.duration)) - 0.55) < 0.05);
  await until("there is a picture at the new place", () => video(watch, (element) => element.readyState >= 3));
  await look(watch, "29-lesson-paused");
});

step("after a reload it goes on where it stopped", async () => {
  const stopped = await video(watch, (element) => element.currentTime);
  await watch.reload();
  const start = id(watch, "player-start");
  await start.getByText(/^Resume at 0:\d\d$/).waitFor();
  await look(watch, "30-lesson-resume");
  await start.click();
  await id(watch, "video").waitFor();
  await until("it plays", () => video(watch, (element) => !element.paused && element.readyState >= 3));
  const now = await video(watch, (element) => element.currentTime);
  assert.ok(Math.abs(now - stopped) < 2, `stopped at ${stopped}, goes on at ${now}`);
});

step("a reload that loses the answer to a refresh signs nobody out", async () => {
  let lost;
  const losing = new Promise((resolve) => (lost = resolve));
  const refresh = "**/api/v1/auth/refresh";
  // The server answers; the page is gone before the answer comes.
  await watch.route(refresh, async (route) => {
    await route.fetch();
    lost();
  }, { times: 1 });
  await watch.reload({ waitUntil: "commit" });
  await losing;
  await watch.reload();
  await id(watch, "current-user").waitFor();
  await id(watch, "player-start").waitFor();
});

step("whoever leaves the course in another tab gets no further key, and reads why", async () => {
  await id(watch, "player-start").click();
  await until("it plays", () => video(watch, (element) => !element.paused && element.readyState >= 3));
  await id(watch, "video").evaluate((element) => element.pause());
  const other = await learner.newPage();
  await other.goto(coursePath);
  await id(other, "leave").click();
  await look(other, "31-course-leave");
  await id(other, "confirm").click();
  await id(other, "enroll").waitFor();
  await id(watch, "play").click();
  const notice = id(watch, "player-notice");
  await notice.waitFor({ timeout: 10_000 });
  assert.match(await notice.innerText(), /You are not enrolled in this course|Your access to this course has ended/);
  await look(watch, "32-lesson-left");
  // What was played between the press and the refusal is reported, and refused as well.
  quiet(
    /^403 POST .*\/heartbeat$/,
    { maybe: /^403 (PUT .*\/progress\/|GET .*\/stills\/poster\.jpg$)/ },
    /^error: Failed to load resource: .*403/,
  );

  // The next key itself: asked for while enrolled, answered after leaving.
  await id(other, "enroll").click();
  await id(other, "enrolled").waitFor();
  let release;
  const left = new Promise((resolve) => (release = resolve));
  const asked = new Promise((resolve) =>
    watch.route("**/keys/**", async (route) => {
      resolve();
      await left;
      await route.continue();
    }),
  );
  await watch.reload();
  await id(watch, "player-start").click();
  await asked;
  await id(other, "leave").click();
  await id(other, "confirm").click();
  await id(other, "enroll").waitFor();
  release();
  await notice.waitFor({ timeout: 10_000 });
  assert.match(await notice.innerText(), /You are not enrolled in this course|Your access to this course has ended/);
  await look(watch, "33-lesson-key-refused");
  // The reload asks for the poster as well, which may come after leaving, too.
  quiet(/^403 GET .*\/keys\/kid_/, { maybe: /^403 GET .*\/stills\/poster\.jpg$/ }, /^error: Failed to load resource: .*403/);
  await watch.unroute("**/keys/**");
  await id(other, "enroll").click();
  await id(other, "enrolled").waitFor();
  await other.close();
});

step("a text is read and marked, and the mark is taken back", async () => {
  await watch.goto(coursePath);
  await watch.getByRole("link", { name: "Read: the rainbow" }).click();
  const mark = id(watch, "mark-completed");
  await mark.click();
  await watch.locator('[data-testid=mark-completed][aria-pressed=true]').waitFor();
  await look(watch, "34-lesson-text");
  await mark.click();
  await watch.locator('[data-testid=mark-completed][aria-pressed=false]').waitFor();
  await watch.reload();
  await watch.locator('[data-testid=mark-completed][aria-pressed=false]').waitFor();
  await watch.goto(coursePath);
  await watch.getByRole("link", { name: "Prisms" }).click();
  await id(watch, "lesson-preparing").waitFor();
  await look(watch, "35-lesson-without-lecture");
  await watch.goto(coursePath);
  await watch.getByRole("link", { name: "Lenses" }).click();
  await id(watch, "player-start").click();
  await until("the sound plays", () => video(watch, (element) => element.currentTime > 1 && element.webkitAudioDecodedByteCount > 0));
  await look(watch, "35-lesson-sound-only");
  await watch.goto("/");
  await id(watch, "enrolled-courses").waitFor();
  await look(watch, "36-catalogue-learner");
  await watch.goto("/teach");
  await watch.getByText("This page is for instructors").waitFor();
  await look(watch, "37-teach-as-learner");
});

step("when the server cannot be reached the pages say so, and go on by themselves or when asked", async () => {
  const page = await learner.newPage();
  const away = (route) => route.abort("connectionrefused");
  await page.route("**/api/v1/auth/refresh", away);
  await page.goto(lessonPath);
  await page.getByText("The server cannot be reached").waitFor();
  await look(page, "36-unreachable");
  await page.unroute("**/api/v1/auth/refresh");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.route("**/media/**", away);
  await id(page, "player-start").click();
  const trouble = id(page, "player-trouble");
  await trouble.getByText("The connection is lost.").waitFor();
  await trouble.getByRole("button", { name: "Try now" }).waitFor();
  await look(page, "36-lesson-connection-lost");
  await page.unroute("**/media/**");
  await trouble.waitFor({ state: "detached" });
  await until("it plays", () => video(page, (element) => !element.paused && element.readyState >= 3));
  await page.close();
  quiet(
    /^net::ERR_CONNECTION_REFUSED: POST .*\/auth\/refresh$/,
    /^net::ERR_CONNECTION_REFUSED: GET .*\/media\//,
    /^error: Failed to load resource: net::ERR_CONNECTION_REFUSED/,
  );
});

step("in the dark it reads as well", async () => {
  const page = await learner.newPage();
  await page.emulateMedia({ colorScheme: "dark" });
  for (const [name, where, sign] of [
    ["catalogue", "/", "enrolled-courses"],
    ["course", coursePath, "enrolled"],
    ["lesson", lessonPath, "player-start"],
  ]) {
    await page.goto(where);
    await id(page, sign).waitFor();
    await look(page, `38-dark-${name}`);
  }
  await page.close();
  const edit = await instructor.newPage();
  await edit.emulateMedia({ colorScheme: "dark" });
  for (const [name, where, sign] of [
    ["edit-lesson", editPath, "asset"],
    ["edit-course", `/teach${coursePath}`, "edit-lessons"],
  ]) {
    await edit.goto(where);
    await id(edit, sign).waitFor();
    await look(edit, `39-dark-${name}`);
  }
  await edit.close();
});

step("the keyboard alone signs in, plays and pauses", async () => {
  await id(watch, "sign-out").click();
  await id(watch, "nav-sign-in").waitFor();
  await watch.goto("/");
  await id(watch, "course-card").first().waitFor();
  await tabTo(watch, id(watch, "nav-sign-in"));
  await watch.keyboard.press("Enter");
  await id(watch, "sign-in-form").waitFor();
  await tabTo(watch, watch.getByLabel("Email"));
  await watch.keyboard.type("lee@school.example");
  await watch.keyboard.press("Tab");
  await watch.keyboard.type(PASSWORD);
  await watch.keyboard.press("Enter");
  await id(watch, "enrolled-courses").waitFor();
  await tabTo(watch, id(watch, "enrolled-courses").getByRole("link"));
  await watch.keyboard.press("Enter");
  await id(watch, "continue").waitFor();
  await tabTo(watch, id(watch, "continue"));
  await watch.keyboard.press("Enter");
  await id(watch, "player-start").waitFor();
  await tabTo(watch, id(watch, "player-start"));
  await watch.keyboard.press("Enter");
  await id(watch, "video").waitFor();
  const paused = () => video(watch, (element) => element.paused);
  await until("it plays", () => video(watch, (element) => !element.paused && element.currentTime > 0 && element.readyState >= 3));
  await watch.keyboard.press("Space");
  await until("the space bar pauses", paused);
  await tabTo(watch, id(watch, "play"));
  await watch.keyboard.press("Enter");
  await until("the play button plays", async () => !(await paused()));
  await tabTo(watch, id(watch, "quality"));
  await watch.keyboard.press("Enter");
  await watch.keyboard.press("ArrowDown");
  await watch.keyboard.press("Enter");
  await until("the menu closes", async () => (await id(watch, "quality-choice").count()) === 0);
  await watch.keyboard.press("k");
  await until("k pauses", paused);
});
