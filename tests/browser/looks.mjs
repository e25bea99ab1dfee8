// The pages can be read in the dark and on a phone. SHOTS names a folder for screenshots.
import { ANN, BOB, check, launch, logIn, samplePdf, settledState, system, upload, visitor, walk } from "./support.mjs";

const LOOKS = {
  light: {},
  dark: { colorScheme: "dark" },
  phone: { viewport: { width: 360, height: 700 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

await walk(async (atEnd) => {
  const { base, sandbox } = await system(atEnd);
  const browser = await launch(atEnd);
  for (const [look, options] of Object.entries(LOOKS)) {
    const ann = await visitor(browser, options);
    const see = async (page, name) => {
      if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${look}-${name}.png` });
      const { wide, faint } = await page.evaluate(judge);
      check(`${look}: ${name} is not wider than the screen`, !wide);
      check(`${look}: ${name} can be read`, faint.length === 0, faint.join(" | "));
    };

    await ann.page.goto(`${base}/login`);
    await see(ann.page, "login");
    await logIn(ann.page, base, ANN);
    const name = "Quarterly report, with a rather long name (final).pdf";
    const id = await upload(ann.page, base, { name, mimeType: "application/pdf", buffer: samplePdf() });
    await see(ann.page, "file");
    await ann.page.goto(`${base}/`);
    await see(ann.page, "list");
    await ann.page.goto(`${base}/files/${id}/content`);
    await settledState(ann.page);
    await see(ann.page, "viewer");
    await ann.page.goto(`${sandbox}/control/`);
    await see(ann.page, "control");

    const bob = await visitor(browser, options);
    await logIn(bob.page, base, BOB);
    await bob.page.goto(`${base}/.transom/view/files/${id}`);
    await see(bob.page, "refusal");
    await bob.context.close();
    await ann.context.close();
  }
});

// Runs in the page: whether it must be scrolled sideways, and its texts with a contrast under 4.5 (WCAG 2.2, 1.4.3).
function judge() {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches;
  const over = (under, colours) => {
    pen.fillStyle = under;
    pen.fillRect(0, 0, 1, 1);
    for (const colour of colours) {
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
    }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = ([r, g, b]) => {
    const part = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const backgrounds = (element) => {
    const found = [];
    for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) found.unshift(getComputedStyle(at).backgroundColor);
    return found;
  };
  const faint = [];
  const look = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) look(element.shadowRoot);
      const speaks = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      if (!speaks || element.closest("head, script, style, noscript") || !element.checkVisibility()) continue;
      const paper = backgrounds(element);
      const base = dark ? "#121212" : "#fff";
      const [ink, ground] = [over(base, [...paper, getComputedStyle(element).color]), over(base, paper)].map(light);
      const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
      if (contrast < 4.5) faint.push(`${element.textContent.trim().slice(0, 40)} (${contrast.toFixed(1)})`);
    }
  };
  look(document);
  return { wide: document.documentElement.scrollWidth > innerWidth + 1, faint };
}
