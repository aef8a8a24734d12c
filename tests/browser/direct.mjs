// Uploads a file from Chromium to the bucket, with Uppy as published. Started by ingest/tests/browser.rs.
// Arguments: the server's URL, access token, lesson id, size, seed, and what becomes of the call that completes:
//   pass           it goes through
//   again          it goes through, and four more times
//   drop           it never arrives
//   hold           it waits until a line comes on stdin, then goes through
// Prints JSON lines: {"holding": true} when a call is held, at the end what the page saw.

import { build } from "esbuild";
import { chromium } from "playwright-core";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const [server, token, lessonId, size, seed, completing] = process.argv.slice(2);
const say = (value) => console.log(JSON.stringify(value));

const bundled = await build({
  entryPoints: [fileURLToPath(new URL("direct-page.mjs", import.meta.url))],
  bundle: true,
  format: "iife",
  write: false,
});
const script = bundled.outputFiles[0].text;
const lines = createInterface({ input: process.stdin });

const browser = await chromium.launch({
  executablePath: process.env.LECTERN_CHROMIUM,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The page does not come over the network, so Chromium takes it for one of another network than the servers'.
    "--disable-features=LocalNetworkAccessChecks",
  ],
});
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.route(`${server}/page`, (route) =>
    route.fulfill({ contentType: "text/html", body: `<!doctype html><title>upload</title><script>${script.replaceAll("</script", "<\\/script")}</script>` }),
  );
  let completion = null;
  await page.route(/\/complete(\?|$)/, async (route) => {
    completion = { url: route.request().url(), body: route.request().postData(), token };
    if (completing === "drop") return route.abort("connectionreset");
    if (completing === "hold") {
      say({ holding: true });
      await once(lines, "line");
    }
    return route.fallback();
  });
  await page.goto(`${server}/page`);
  const seen = await page.evaluate((asked) => window.upload(asked), {
    token,
    lessonId,
    size: Number(size),
    seed: Number(seed),
    pause: completing === "pass",
  });
  const again = [];
  if (completing === "again") {
    for (let n = 0; n < 4; n += 1) again.push(page.evaluate((asked) => window.completeAgain(asked), completion));
  }
  say({ ...seen, again: await Promise.all(again), complaints });
} finally {
  lines.close();
  await browser.close();
}
