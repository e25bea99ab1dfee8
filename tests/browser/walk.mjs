// The whole way in a browser: log in, upload, click the app's own link, see the document; and nobody else does.
// BASE_URL names a running demo; without it one is started. SHOT names a file for a screenshot.
import { readFile } from "node:fs/promises";
import { ANN, BOB, check, launch, logIn, samplePdf, settledState, system, upload, visitor, walk } from "./support.mjs";

const prefix = process.env.PREFIX ?? "/.transom";
const kind = process.env.KIND ?? "files";
const MAGENTA = [230, 0, 180];

await walk(async (atEnd) => {
  const { base } = await system(atEnd);
  const browser = await launch(atEnd);
  const pdf = samplePdf();
  const ann = await visitor(browser);

  await logIn(ann.page, base, ANN);
  const id = await upload(ann.page, base, { name: "walk.pdf", mimeType: "application/pdf", buffer: pdf });
  check("the app took the upload as always", /^\d+$/.test(id), id);

  const content = `/files/${id}/content`;
  const [reply] = await Promise.all([
    ann.page.waitForNavigation({ url: `**${content}` }),
    ann.page.click(`a[href="${content}"]`),
  ]);
  check("the app's own link leads to the viewer", reply.headers()["content-type"].startsWith("text/html"));
  check("which is never stored", reply.headers()["cache-control"] === "no-store");
  const state = await settledState(ann.page);
  check("the viewer opens the document", state === "open", `${state} ${await ann.page.innerText("#notice")}`);
  const text = await shareOf(browser, ann.page, [0, 0, 0]);
  const bar = await shareOf(browser, ann.page, [0, 92, 173]);
  check("and shows its text or its drawing", text + bar > 0.0002, `${text} black, ${bar} blue`);
  if (process.env.SHOT) await ann.page.screenshot({ path: process.env.SHOT });

  const fetched = await ann.page.evaluate(async () => {
    const bytes = new Uint8Array(await (await fetch(location.href)).arrayBuffer());
    return Array.from(bytes);
  });
  check("fetch gets the bytes as ever", Buffer.from(fetched).equals(pdf), `${fetched.length} bytes`);
  const [download] = await Promise.all([ann.page.waitForEvent("download"), ann.page.click("#download")]);
  check("the download link gives the bytes", (await readFile(await download.path())).equals(pdf));
  const asked = await ann.context.request.get(`${base}${content}?download`, {
    headers: { accept: "text/html" },
  });
  check("so does ?download", (await asked.body()).equals(pdf), `${asked.status()}`);

  await ann.page.goto(`${base}${prefix}/view/${kind}/${id}`);
  const own = await settledState(ann.page);
  check("Transom's own address shows it too", own === "open", own);

  const image = { name: "tile.png", mimeType: "image/png", buffer: await tile(browser) };
  const picture = await upload(ann.page, base, image);
  await ann.page.goto(`${base}/files/${picture}/content`);
  await settledState(ann.page);
  const magenta = await shareOf(browser, ann.page, MAGENTA);
  check("an image is shown in its colour", magenta > 0.005, magenta);
  check("no console error, no CSP violation", ann.complaints.length === 0, ann.complaints.join(" | "));

  const bob = await visitor(browser);
  await logIn(bob.page, base, BOB);
  const refused = await bob.page.goto(`${base}${content}`);
  check("bob gets the app's own refusal", refused.status() === 403, refused.status());
  check("in the app's words", (await bob.page.innerText("body")).includes("belongs to somebody else"));
  const session = await bob.page.evaluate(async (address) => {
    const reply = await fetch(address, { headers: { accept: "application/json" } });
    return { status: reply.status, type: reply.headers.get("content-type"), body: await reply.json() };
  }, `${prefix}/session/${kind}/${id}`);
  check("bob gets no session", session.status === 403 && !("session" in session.body), session.status);
  check("with the reason", session.body.code === "denied_by_app", JSON.stringify(session.body));
  check("as a problem", session.type?.startsWith("application/problem+json"), session.type);
  const view = await bob.page.goto(`${base}${prefix}/view/${kind}/${id}`);
  check("bob gets no viewer", view.status() === 403 && (await bob.page.locator("#viewer").count()) === 0);
  check("but a page that says why", (await bob.page.innerText("body")).includes("denied_by_app"));

  const nobody = await visitor(browser);
  const anonymous = await nobody.context.request.get(`${base}${prefix}/session/${kind}/${id}`);
  check("nobody gets no session", anonymous.status() === 401, anonymous.status());
});

// The share of the viewer's pixels that have about this colour.
async function shareOf(browser, page, colour) {
  const shot = await page.locator("#viewer").screenshot();
  const desk = await browser.newPage();
  const share = await desk.evaluate(
    async ({ png, colour }) => {
      const image = new Image();
      image.src = `data:image/png;base64,${png}`;
      await image.decode();
      const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
      canvas.drawImage(image, 0, 0);
      const { data } = canvas.getImageData(0, 0, image.width, image.height);
      let found = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (colour.every((value, channel) => Math.abs(data[at + channel] - value) < 40)) found += 1;
      }
      return found / (data.length / 4);
    },
    { png: shot.toString("base64"), colour },
  );
  await desk.close();
  return share;
}

// A PNG of one colour that no page of ours has.
async function tile(browser) {
  const desk = await browser.newPage();
  const png = await desk.evaluate(([r, g, b]) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 300;
    const pen = canvas.getContext("2d");
    pen.fillStyle = `rgb(${r} ${g} ${b})`;
    pen.fillRect(0, 0, 300, 300);
    return canvas.toDataURL("image/png").split(",")[1];
  }, MAGENTA);
  await desk.close();
  return Buffer.from(png, "base64");
}
