// The browser under test: Chromium, its contexts, and everything that a page must not do while it is looked at.

import { chromium } from "playwright-core";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

export const env = (name) => process.env[name] ?? assert.fail(`${name} is not set: this is started by tests/browser.rs or tests/seeks.rs`);

export const url = env("LECTERN_URL");
export const pictures = env("LECTERN_SCREENSHOTS");

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** The widths every page is looked at: a phone and a desk. */
const WIDTHS = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } };
const WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

let browser;
/** What pages complained about, in the order it happened. */
const complaints = [];

export async function open(...more) {
  browser = await chromium.launch({
    executablePath: env("LECTERN_CHROMIUM"),
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--autoplay-policy=no-user-gesture-required",
      ...more,
    ],
  });
}

export async function close() {
  await browser?.close();
}

/** A person's own browser, signed in as nobody. */
export async function person(options = {}) {
  const context = await browser.newContext({ baseURL: url, viewport: WIDTHS.desk, ...options });
  context.setDefaultTimeout(20_000);
  await context.addInitScript(() =>
    addEventListener("securitypolicyviolation", (event) =>
      console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`),
    ),
  );
  // Elsewhere than this server nothing may be asked for.
  await context.route(
    (asked) => asked.origin !== url,
    (route) => {
      complaints.push(`a request to ${route.request().url()}`);
      return route.abort();
    },
  );
  context.on("page", watch);
  return context;
}

function watch(page) {
  page.on("pageerror", (error) => complaints.push(`uncaught ${error.stack}`));
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const { url: where } = message.location();
    complaints.push(`${message.type()}: ${message.text()} (${where})`);
  });
  page.on("requestfailed", (request) => {
    const why = request.failure()?.errorText;
    // The application stops what nobody waits for any more: a paused upload, a closed page.
    if (why !== "net::ERR_ABORTED") complaints.push(`${why}: ${request.method()} ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()} ${response.request().method()} ${response.url()}`);
  });
  // A page that is left while an upload runs asks whether that is meant.
  page.on("dialog", (dialog) => dialog.accept());
}

/** Fails if a page complained, unless it had to (`expected`) or may have (`{ maybe }`). */
export function quiet(...expected) {
  const found = complaints.splice(0);
  for (const pattern of expected.filter((one) => one instanceof RegExp)) {
    assert.ok(found.some((complaint) => pattern.test(complaint)), `expected ${pattern} among:\n${found.join("\n")}`);
  }
  const known = expected.map((one) => one.maybe ?? one);
  const rest = found.filter((complaint) => !known.some((pattern) => pattern.test(complaint)));
  assert.deepEqual(rest, [], "pages complained");
}

/** Waits for something that no selector can wait for. */
export async function until(what, holds, within = 20_000) {
  const end = Date.now() + within;
  for (;;) {
    if (await holds()) return;
    assert.ok(Date.now() < end, `not within ${within} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Pictures of a page at both widths, if they are wanted; nothing sticks out, and axe finds nothing serious. */
export async function look(page, name) {
  if (!pictures) return;
  for (const [width, size] of Object.entries(WIDTHS)) {
    await page.setViewportSize(size);
    await page.evaluate(() => scrollTo(0, 0));
    // Until what slides and fades has come to rest; what turns for ever is left turning.
    await page.evaluate(async () => {
      const ending = document.getAnimations().filter((one) => one.effect?.getComputedTiming().endTime !== Infinity);
      await Promise.allSettled(ending.map((one) => one.finished));
    });
    await page.screenshot({ path: join(pictures, `${name}-${width}.png`), fullPage: true, animations: "allow" });
    const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(tooWide <= 0, `${name}: ${tooWide} px stick out at ${size.width} px`);
    await accessible(page, `${name} at ${size.width} px`);
  }
}

async function accessible(page, name) {
  if (!(await page.evaluate("typeof axe === 'object'"))) await page.evaluate(axe);
  const { violations } = await page.evaluate(
    (values) => globalThis.axe.run(document, { runOnly: { type: "tag", values }, resultTypes: ["violations"] }),
    WCAG,
  );
  const grave = violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map(({ html, failureSummary }) => `${html}\n  ${failureSummary}`).join("\n  ")}`);
  assert.deepEqual(grave, [], `${name} is not accessible:\n${grave.join("\n")}`);
}

/** Goes to an element with the Tab key alone. */
export async function tabTo(page, locator) {
  const element = await locator.elementHandle();
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press("Tab");
    if (await element.evaluate((node) => node === document.activeElement)) return;
  }
  assert.fail(`the Tab key does not reach ${locator}`);
}
