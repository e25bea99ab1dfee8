// What the walks share: a running demo, a browser, and checks that count.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const ANN = { name: "ann", password: process.env.ANN_PASSWORD ?? "anemone" };
export const BOB = { name: "bob", password: process.env.BOB_PASSWORD ?? "bluebell" };

export const TRANSOM = process.env.TRANSOM ?? fileURLToPath(new URL("../../target/debug/transom", import.meta.url));
export const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// Nothing here is about speed: a busy machine may take its time.
const PATIENCE = 180_000;

let failures = 0;

export function check(what, holds, detail = "") {
  if (!holds) failures += 1;
  console.log(`${holds ? "ok  " : "FAIL"} ${what}${holds || detail === "" ? "" : `: ${detail}`}`);
}

// Runs the steps, then whatever was put into `ends`, last first; the exit code tells how it went.
export async function walk(steps) {
  const ends = [];
  try {
    await steps((end) => ends.push(end));
  } catch (error) {
    check("the walk came to its end", false, error.stack);
  }
  for (const end of ends.reverse()) await end();
  console.log(failures ? `${failures} checks failed` : "all checks passed");
  process.exitCode = failures ? 1 : 0;
}

// { base, sandbox }: of BASE_URL and SANDBOX_URL, or of a demo of our own.
export async function system(atEnd, args = []) {
  if (process.env.BASE_URL) return { base: process.env.BASE_URL, sandbox: process.env.SANDBOX_URL };
  const demo = spawn(TRANSOM, ["demo", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(demo, "exit").catch((error) => [error.message]);
  atEnd(async () => {
    demo.kill("SIGINT");
    const [code] = await ended;
    check("the demo leaves nothing behind", found.sample && !existsSync(dirname(found.sample)));
    check("the demo ends cleanly", code === 0, `exit ${code}`);
  });
  const found = {};
  const lines = createInterface({ input: demo.stdout });
  const ready = new Promise((resolve, reject) => {
    ended.then(([code]) => reject(new Error(`the demo did not start (${code}): ${TRANSOM}`)));
    setTimeout(() => reject(new Error("the demo was not ready in time")), PATIENCE).unref();
    lines.on("line", (line) => {
      console.log(`     ${line}`);
      found.base ??= line.match(/^Open (http\S+)/)?.[1];
      found.sample ??= line.match(/a PDF to upload: (.+)/)?.[1];
      found.sandbox ??= line.match(/stand-in of DWS\s+(http:\/\/[^/\s]+)/)?.[1];
      if (found.base && found.sandbox) resolve(found);
    });
  });
  return ready;
}

export async function launch(atEnd) {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: FLAGS, timeout: PATIENCE });
  atEnd(() => browser.close());
  return browser;
}

// A page whose complaints are kept: `complaints` holds console errors, uncaught errors and CSP violations.
export async function visitor(browser, options = {}) {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  context.setDefaultTimeout(PATIENCE);
  const complaints = [];
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`CSP: ${event.effectiveDirective} blocked ${event.blockedURI}`);
    });
  });
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  return { context, page, complaints };
}

export async function logIn(page, base, { name, password }) {
  await page.goto(`${base}/login`);
  await page.fill("input[name=username]", name);
  await page.fill("input[name=password]", password);
  await page.click("button");
  await page.waitForURL(`${base}/`);
}

// By the app's own form; the id that the app gave it.
export async function upload(page, base, file) {
  await page.goto(`${base}/`);
  await page.setInputFiles("input[name=file]", file);
  await page.click("#upload button");
  await page.waitForURL(/\/files\/\d+$/);
  return new URL(page.url()).pathname.split("/").pop();
}

// "open", "failed", or the state it was stuck in.
export async function settledState(page, within = PATIENCE) {
  const settled = page.waitForSelector("body[data-state=open], body[data-state=failed]", { timeout: within });
  await settled.catch(() => {});
  return page.evaluate(() => document.body.dataset.state);
}

// Whether it came to be true.
export async function eventually(holds) {
  const until = Date.now() + PATIENCE;
  while (Date.now() < until) {
    if (await holds()) return true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return false;
}

// The sandbox's control API.
export async function control(sandbox, path, options) {
  const reply = await fetch(`${sandbox}/control/${path}`, options);
  if (!reply.ok) throw new Error(`/control/${path}: ${reply.status} ${await reply.text()}`);
  return reply.json();
}

export function samplePdf() {
  const content = "BT /F1 18 Tf 24 TL 40 520 Td (Over the transom.) Tj T* (Seen through it.) Tj ET 0 0.36 0.68 rg 40 40 340 12 re f";
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 595] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
    `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
  ];
  let pdf = "%PDF-1.4\n";
  let table = "0000000000 65535 f \n";
  objects.forEach((object, at) => {
    table += `${String(pdf.length).padStart(10, "0")} 00000 n \n`;
    pdf += `${at + 1} 0 obj\n${object}\nendobj\n`;
  });
  const start = pdf.length;
  pdf += `xref\n0 6\n${table}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`;
  return Buffer.from(pdf, "latin1");
}
