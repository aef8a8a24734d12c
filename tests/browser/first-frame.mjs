// A learner who waits for a lecture: signs in, and on a line of standard input goes to the lesson and presses play. Says how long
// that took until the first picture. A second line sends it to the end. Started by tests/growing.rs and
// benches/playable. Arguments: the server's URL, the path of the lesson's page, e-mail address, password, a file for a picture of
// the page (or nothing).

import { chromium } from "playwright-core";
import { createInterface } from "node:readline";

const [server, lesson, email, password, picture] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => console.log(JSON.stringify(value));

const browser = await chromium.launch({
  executablePath: process.env.LECTERN_CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage({ baseURL: server, viewport: { width: 1280, height: 800 } });
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto("/sign-in");
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByTestId("submit").click();
  await page.getByTestId("sign-in-form").waitFor({ state: "detached" });
  say({ event: "signed in" });

  await lines.next();
  const began = performance.now();
  await page.goto(lesson);
  await page.getByTestId("player-start").click();
  await page.getByTestId("video").waitFor();
  await page.evaluate(
    () => new Promise((shown) => document.querySelector("video").requestVideoFrameCallback(shown)),
  );
  const firstFrameMs = performance.now() - began;
  const seen = () =>
    page.evaluate(() => {
      const video = document.querySelector("video");
      return { at: video.currentTime, duration: video.duration, paused: video.paused, ended: video.ended };
    });
  say({ event: "first frame", first_frame_ms: Math.round(firstFrameMs), ...(await seen()) });
  if (picture) await page.screenshot({ path: picture });

  // To the end, as soon as the player knows of it. The line says where that is, in seconds.
  const seconds = Number((await lines.next()).value);
  const note = await page.getByTestId("growing").textContent().catch(() => null);
  const later = await page.evaluate(async (seconds) => {
    const video = document.querySelector("video");
    const until = async (holds, ms) => {
      const end = performance.now() + ms;
      while (!holds() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
      return holds();
    };
    const before = video.currentTime;
    const grew = await until(() => video.duration > seconds - 1, 30_000);
    video.currentTime = video.duration - 6;
    const went = await until(() => !video.seeking && video.readyState >= 3, 20_000);
    const from = video.currentTime;
    const on = await until(() => video.currentTime > from + 1, 10_000);
    const ended = await until(() => video.ended, 20_000);
    return { before, grew, went, on, ended };
  }, seconds);
  say({ event: "later", note, ...later, ...(await seen()), complaints });
} finally {
  await browser.close();
}
