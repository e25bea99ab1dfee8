// A stand-in for the Nutrient Web SDK, served by Transom's sandbox. It has the face of the real one
// as far as a page that embeds it can tell: the same checks, the same auth call to the data plane,
// the same errors and the same way to renew a session. What it shows is only good enough for trying
// things out: images, and PDFs made of plain text and simple shapes.
class NutrientError extends Error {
  constructor(message, { status, body } = {}) {
    super(message);
    this.name = "PSPDFKitError";
    if (status !== undefined) {
      this.status = status;
      this.body = body;
    }
  }
}

const mounted = new Map();

async function load(configuration) {
  const container = containerOf(configuration);
  const session = new Session(configuration);
  const instance = new Instance(container, session);
  mounted.set(container, instance);
  try {
    await session.authenticate();
    await instance.show();
  } catch (error) {
    unload(container);
    throw asNutrientError(error);
  }
  session.watch();
  return instance;
}

function unload(target) {
  const container = target instanceof Instance ? target.container : elementOf(target);
  const instance = mounted.get(container);
  if (!instance) return false;
  mounted.delete(container);
  instance.close();
  return true;
}

function containerOf({ container: target }) {
  const container = elementOf(target);
  if (!container) {
    throw new NutrientError(
      "`Configuration#container` must either be an element or a selector that finds one.",
    );
  }
  if (mounted.has(container)) {
    throw new NutrientError(
      "Assertion failed: Configuration#container is already used to mount a viewer.",
    );
  }
  if (container.childNodes.length > 0) {
    throw new NutrientError("`Configuration#container` is expected to be an empty element.");
  }
  // An element that is not displayed passes, as with the real one.
  if (getComputedStyle(container).display !== "none") {
    const { width, height } = container.getBoundingClientRect();
    if (height === 0) throw new NutrientError("The mounting container has no height.");
    if (width === 0) throw new NutrientError("The mounting container has no width.");
  }
  return container;
}

function elementOf(target) {
  if (target instanceof Element) return target;
  return typeof target === "string" ? document.querySelector(target) : null;
}

// The data plane, spoken to with the session that is good now.
class Session {
  constructor({ session, documentId, serverUrl, password, onAuthFailed }) {
    if (session === null || session === undefined) {
      throw new NutrientError("Backend could not be inferred: neither session nor document given.");
    }
    const claims = claimsOf(session);
    this.jwt = session;
    this.password = password;
    this.onAuthFailed = onAuthFailed;
    const [first] = claims.allowed_documents ?? [];
    this.documentId = documentId ?? claims.document_id ?? first?.document_id;
    this.serverUrl = serverUrl ?? claims.server_url;
    if (typeof this.documentId !== "string") {
      throw new NutrientError("Assertion failed: The supplied JWT is invalid: no document.");
    }
    if (typeof this.serverUrl !== "string" || !this.serverUrl.endsWith("/")) {
      throw new NutrientError("`serverUrl` must have a slash at the end.");
    }
  }

  async authenticate(jwt = this.jwt) {
    const body = this.password === undefined ? { jwt } : { jwt, password: this.password };
    const reply = await fetch(this.address("i/d/", "/auth"), {
      method: "POST",
      credentials: "include",
      headers: {
        "Content-Type": "application/json",
        "PSPDFKit-Platform": "web",
        "PSPDFKit-Version": "protocol=5, client=1.22.0, client-git=sandbox",
      },
      body: JSON.stringify(body),
    });
    const text = await reply.text();
    if (!reply.ok) {
      // The real one asks for the password and waits.
      if (text === "INVALID_PASSWORD") await new Promise(() => {});
      throw new NutrientError(
        AUTH_REFUSED + (text || reply.statusText),
        { status: reply.status, body: text },
      );
    }
    const { features } = JSON.parse(text);
    if (!features?.includes("instant")) {
      throw new NutrientError("Instant feature is not enabled on this server.");
    }
    this.jwt = jwt;
  }

  async content() {
    const get = () =>
      fetch(this.address("sandbox/content/", ""), {
        credentials: "include",
        headers: { Authorization: `Bearer ${this.jwt}` },
      });
    let reply = await get();
    if (await isExpired(reply)) {
      await this.refresh();
      reply = await get();
    }
    if (!reply.ok) {
      const body = await reply.text();
      throw new NutrientError(`The document can't be fetched: ${body}`, {
        status: reply.status,
        body,
      });
    }
    return reply;
  }

  // Renews the session when it ends, as the real one does on the first request after that.
  watch() {
    clearTimeout(this.timer);
    if (this.closed) return;
    const { exp } = claimsOf(this.jwt);
    if (typeof exp !== "number") return;
    const wait = exp * 1000 - Date.now() + 500;
    if (wait > MAX_TIMER) return;
    this.timer = setTimeout(() => this.check(), Math.max(wait, 0));
  }

  // One at a time.
  check() {
    this.checking ??= this.refresh()
      .then(() => this.watch())
      .catch((error) => this.closed || this.onEnded?.(error))
      .finally(() => {
        this.checking = undefined;
      });
  }

  async refresh() {
    try {
      await this.authenticate();
      return;
    } catch (error) {
      if (error.status !== 401 && error.status !== 403) throw error;
    }
    if (!this.onAuthFailed) {
      throw new NutrientError(
        "Auth refresh failed: Auth failed. Provide onAuthFailed callback to support token refresh.",
      );
    }
    const renewed = new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
    const late = setTimeout(
      () => this.waiting?.reject(new Error(REFRESH_TIMED_OUT)),
      REFRESH_SECONDS * 1000,
    );
    // Only `setSession` ends the wait; the callback's own success does not.
    Promise.resolve()
      .then(() => this.onAuthFailed())
      .catch((error) => this.waiting?.reject(error));
    try {
      await renewed;
    } catch (error) {
      throw new NutrientError(`Auth refresh failed: ${error.message}`);
    } finally {
      clearTimeout(late);
      this.waiting = undefined;
    }
  }

  async replace(jwt) {
    claimsOf(jwt);
    try {
      await this.authenticate(jwt);
    } catch (error) {
      this.waiting?.reject(error);
      throw asNutrientError(error);
    }
    this.waiting?.resolve();
    this.watch();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.waiting?.reject(new Error("The viewer was closed."));
  }

  address(before, after) {
    return `${this.serverUrl}${before}${encodeURIComponent(this.documentId)}${after}`;
  }
}

class Instance {
  constructor(container, session) {
    this.container = container;
    this.session = session;
    this.totalPageCount = 0;
    session.onEnded = (error) => {
      console.error("An error occurred while renewing the session", error);
      this.status(error.message);
    };
  }

  async setSession(jwt) {
    await this.session.replace(jwt);
  }

  async show() {
    const reply = await this.session.content();
    const type = (reply.headers.get("content-type") ?? "").split(";")[0];
    const blob = await reply.blob();
    if (mounted.get(this.container) !== this) throw new NutrientError("Unloaded while loading.");
    const host = element("div", { width: "100%", height: "100%" });
    host.className = "PSPDFKit-Container";
    this.root = host.attachShadow({ mode: "open" });
    this.header = element("div", HEADER_STYLE);
    this.header.setAttribute("role", "status");
    this.pages = element("div", PAGES_STYLE);
    // The real one asks for more as the visitor scrolls, and so finds out that a session is over.
    this.pages.addEventListener("scrollend", () => this.session.check());
    const frame = element("div", FRAME_STYLE);
    frame.append(this.header, this.pages);
    this.root.append(frame);
    this.container.append(host);
    if (type.startsWith("image/")) {
      await this.showImage(blob);
    } else if (type === "application/pdf") {
      await this.showPdf(blob);
    } else {
      this.note(`The sandbox's viewer can't show ${type || "this type"}.`);
      this.status("not shown");
    }
  }

  async showImage(blob) {
    const image = element("img", { ...PAGE_STYLE, maxWidth: "100%" });
    image.alt = "The document";
    this.imageUrl = URL.createObjectURL(blob);
    image.src = this.imageUrl;
    this.pages.append(image);
    try {
      await image.decode();
      this.totalPageCount = 1;
      this.status("1 page");
    } catch {
      image.remove();
      this.note("This browser can't show the image.");
      this.status("not shown");
    }
  }

  async showPdf(blob) {
    let pages = [];
    if (blob.size <= MAX_PDF) {
      try {
        pages = await pagesOf(new Uint8Array(await blob.arrayBuffer()));
      } catch (error) {
        console.warn("The sandbox's viewer can't read this PDF", error);
      }
    }
    if (pages.length === 0) {
      this.pages.append(blankPage("This PDF is more than the sandbox's viewer can read."));
      this.status("not shown");
      return;
    }
    this.totalPageCount = pages.length;
    this.status(pages.length === 1 ? "1 page" : `${pages.length} pages`);
    for (const page of pages.slice(0, MAX_PAGES)) {
      this.pages.append(drawPage(page, this.container.clientWidth - 48));
    }
    if (pages.length > MAX_PAGES) this.note(`Only the first ${MAX_PAGES} pages are shown.`);
  }

  status(text) {
    if (!this.header) return;
    this.header.textContent = `Sandbox viewer: ${this.session.documentId}, ${text}`;
  }

  note(text) {
    const note = element("p", {});
    note.textContent = text;
    this.pages.append(note);
  }

  close() {
    this.session.close();
    if (this.imageUrl) URL.revokeObjectURL(this.imageUrl);
    this.container.replaceChildren();
  }
}

function claimsOf(jwt) {
  const invalid = () => new NutrientError("Assertion failed: The supplied JWT is invalid.");
  const segments = typeof jwt === "string" ? jwt.split(".") : [];
  if (segments.length !== 3) throw invalid();
  try {
    const binary = atob(segments[1].replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    throw invalid();
  }
}

async function isExpired(reply) {
  if (reply.status === 401) return true;
  if (reply.status !== 403) return false;
  const text = await reply.clone().text();
  return EXPIRY_TEXTS.some((expiry) => text.includes(expiry));
}

function asNutrientError(error) {
  return error instanceof NutrientError ? error : new NutrientError(error.message);
}

// Styles are set through the CSSOM, which a Content-Security-Policy with nonces allows.
function element(name, style) {
  const made = document.createElement(name);
  Object.assign(made.style, style);
  return made;
}

function blankPage(text) {
  const page = element("div", { ...PAGE_STYLE, width: "420px", height: "594px", padding: "48px" });
  page.style.boxSizing = "border-box";
  page.textContent = text;
  return page;
}

const AUTH_REFUSED = "An error occurred while connecting to Nutrient Document Engine: ";
const EXPIRY_TEXTS = ["Token has expired", "Invalid token", "Token has been revoked"];
const REFRESH_SECONDS = 30;
const REFRESH_TIMED_OUT = "Auth refresh timed out: setSession was not called within 30 seconds.";
const MAX_TIMER = 2 ** 31 - 1;
const MAX_PDF = 32 * 1024 * 1024;
const MAX_PAGES = 50;
const FRAME_STYLE = {
  display: "flex",
  flexDirection: "column",
  height: "100%",
  background: "rgb(128 128 128 / 15%)",
};
const HEADER_STYLE = {
  font: "13px/1.5 system-ui, sans-serif",
  padding: "6px 12px",
  background: "Canvas",
  color: "CanvasText",
  borderBottom: "1px solid rgb(128 128 128 / 40%)",
  overflowWrap: "anywhere",
};
const PAGES_STYLE = {
  flex: "1",
  overflow: "auto",
  padding: "16px",
  textAlign: "center",
  font: "15px/1.5 system-ui, sans-serif",
};
const PAGE_STYLE = {
  display: "block",
  margin: "0 auto 16px",
  background: "#fff",
  color: "#222",
  boxShadow: "0 1px 4px rgb(0 0 0 / 30%)",
};

globalThis.NutrientViewer = Object.freeze({
  load,
  unload,
  Error: NutrientError,
  version: "1.22.0-sandbox",
});
