// What a visitor meets when DWS or the SDK is not there: the app's own bytes as ever, and words instead of a blank page.
import { readFile } from "node:fs/promises";
import { ANN, check, control, eventually, launch, logIn, samplePdf, settledState, system, upload, visitor, walk } from "./support.mjs";

await walk(async (atEnd) => {
  const { base, sandbox } = await system(atEnd);
  const browser = await launch(atEnd);
  const { page } = await visitor(browser);
  const pdf = samplePdf();
  const send = (name) => upload(page, base, { name, mimeType: "application/pdf", buffer: pdf });
  const fault = (body) => control(sandbox, "faults", { method: "POST", body: JSON.stringify(body) });
  const heal = () => control(sandbox, "faults", { method: "DELETE" });
  await logIn(page, base, ANN);

  await fault({ route: "any", fault: "status", status: 503, retry_after: 1 });
  const late = await send("late.pdf");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#content")]);
  check("without DWS the app's link gives the app's bytes", (await readFile(await download.path())).equals(pdf));

  const waiting = await page.goto(`${base}/.transom/view/files/${late}`);
  check("a document on its way has a waiting page", waiting.status() === 202, waiting.status());
  check("which says so", (await page.innerText("h1")).includes("being prepared"));
  const announced = await page.getAttribute("main", "role") === "status" && await page.getAttribute("main", "aria-live") === "polite";
  check("to a screen reader, too", announced);
  const answered = () => page.waitForResponse((reply) => reply.url().includes("/.transom/session/"));
  await page.evaluate(() => (globalThis.sameVisit = true));
  await answered();
  await answered();
  check("and waits in place", await page.evaluate(() => globalThis.sameVisit === true));
  check("showing that it does", /^\d:\d\d$/.test(await page.innerText("#waited")) && await page.isVisible("progress"));
  await heal();
  const shown = () => page.evaluate(() => document.body.dataset.state === "open").catch(() => false);
  check("and turns into the document by itself", await eventually(shown));

  await fault({ route: "session", fault: "status", status: 503 });
  const sessionless = await send("sessionless.pdf");
  await eventually(async () => (await control(sandbox, "state")).documents.length === 2);
  await page.goto(`${base}/files/${sessionless}`);
  const [second] = await Promise.all([page.waitForEvent("download"), page.click("#content")]);
  check("without a session the app's bytes come too", (await readFile(await second.path())).equals(pdf));
  const refused = await page.goto(`${base}/.transom/view/files/${sessionless}`);
  check("Transom's own page says that it is not the visitor's fault", refused.status() === 503, refused.status());
  check("in words", (await page.innerText("body")).includes("dws_unavailable"));
  await heal();

  await page.route("**/nutrient-viewer.js", (route) => route.abort());
  await page.goto(`${base}/.transom/view/files/${late}`);
  check("an SDK that does not come is told", (await settledState(page)) === "failed");
  check("by its name", (await page.evaluate(() => document.body.dataset.code)) === "sdk_missing");
  await page.unroute("**/nutrient-viewer.js");

  await fault({ route: "auth", fault: "status", status: 404 });
  await page.goto(`${base}/.transom/view/files/${late}`);
  await settledState(page);
  check("so is a document that DWS lost", (await page.evaluate(() => document.body.dataset.code)) === "document_gone");
  await heal();
});
