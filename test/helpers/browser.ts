import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { inflateSync } from "node:zlib";
import { eventually } from "./eventually.ts";
import { temporaryFolder } from "./paths.ts";

/** Debian's chromium without a window, spoken to by its debugging protocol; root needs --no-sandbox. */
const names = ["chromium", "chromium-headless-shell"];
const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--remote-debugging-port=0",
];

/** The browser's program, or undefined where there is none. */
export const browserProgram = (): string | undefined =>
  names.find((name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0);

type Message = Readonly<Record<string, unknown>>;

/** What a page did: everything that it asked for, and everything that went wrong in it. */
export interface Seen {
  readonly requests: readonly string[];
  readonly errors: readonly string[];
}

export interface Viewport {
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
}

/** One page of a browser of its own. */
export class Browser {
  readonly #folder = temporaryFolder("browser");
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #seen = { requests: [] as string[], errors: [] as string[] };
  #socket: WebSocket | undefined;
  #session: string | undefined;
  #loads = 0;
  #next = 1;
  #said = "";

  private constructor(program: string) {
    this.#child = spawn(program, [...flags, `--user-data-dir=${this.#folder.path}`, "about:blank"], {
      stdio: ["ignore", "ignore", "pipe"],
      detached: true,
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#said += text;
    });
  }

  static async start(program: string): Promise<Browser> {
    const browser = new Browser(program);
    try {
      await browser.#connect();
      return browser;
    } catch (error) {
      await browser.done();
      throw new Error(`the browser does not start: ${browser.#said}`, { cause: error });
    }
  }

  get seen(): Seen {
    return this.#seen;
  }

  /** Goes there; resolves when everything of the page is loaded. */
  async open(url: string, { width, height, dark = false }: Viewport): Promise<void> {
    const features = [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }];
    await this.#ask("Emulation.setEmulatedMedia", { features });
    await this.#ask("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    const before = this.#loads;
    await this.#ask("Page.navigate", { url });
    await eventually("the page is loaded", () => this.#loads > before);
  }

  /** The value of an expression in the page. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result } = await this.#ask("Runtime.evaluate", { expression, returnByValue: true });
    return (result as { readonly value: T }).value;
  }

  async screenshot(): Promise<Buffer> {
    const { data } = await this.#ask("Page.captureScreenshot", { format: "png" });
    return Buffer.from(String(data), "base64");
  }

  /** Ends it with all its processes; nothing of it is left. */
  async done(): Promise<void> {
    this.#socket?.close();
    const { pid } = this.#child;
    if (pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = new Promise((resolve) => this.#child.once("exit", resolve));
      process.kill(-pid, "SIGKILL");
      await gone;
    }
    await eventually("its folder is nobody's any more", () => {
      this.#folder.done();
      return true;
    });
  }

  async #connect(): Promise<void> {
    const url = await eventually("its debugging port", () => /listening on (ws:\S+)/.exec(this.#said)?.[1]);
    const socket = new WebSocket(url);
    this.#socket = socket;
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", reject);
    });
    socket.addEventListener("message", ({ data }) => this.#hear(JSON.parse(String(data)) as Message));
    const { targetId } = await this.#ask("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.#ask("Target.attachToTarget", { targetId, flatten: true });
    this.#session = String(sessionId);
    for (const domain of ["Page", "Runtime", "Network", "Log"]) await this.#ask(`${domain}.enable`);
  }

  #ask(method: string, params: object = {}): Promise<Message> {
    const id = this.#next++;
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    this.#socket?.send(JSON.stringify({ id, method, params, ...session }));
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) =>
        error === undefined ? resolve(result as Message) : reject(new Error(`${method}: ${JSON.stringify(error)}`)),
      );
    });
  }

  #hear(message: Message): void {
    const { id, method, params } = message;
    if (typeof id === "number") {
      this.#waiting.get(id)?.(message);
      this.#waiting.delete(id);
    }
    if (method === "Page.loadEventFired") this.#loads += 1;
    if (method === "Network.requestWillBeSent")
      this.#seen.requests.push((params as { request: { url: string } }).request.url);
    if (method === "Runtime.exceptionThrown" || method === "Log.entryAdded")
      this.#seen.errors.push(JSON.stringify(params));
  }
}

/** How many pixels of a PNG (8 bits, RGB or RGBA, as chromium writes it) have each colour. */
export function coloursOf(png: Buffer): ReadonlyMap<number, number> {
  const chunks: Buffer[] = [];
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12)
    if (png.toString("latin1", at + 4, at + 8) === "IDAT")
      chunks.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  const [width, height, bytes] = [png.readUInt32BE(16), png.readUInt32BE(20), png[25] === 6 ? 4 : 3];
  const rows = inflateSync(Buffer.concat(chunks));
  const colours = new Map<number, number>();
  let above = Buffer.alloc(width * bytes);
  for (let y = 0; y < height; y++) {
    const start = y * (width * bytes + 1);
    const row = unfiltered(rows[start] ?? 0, rows.subarray(start + 1, start + 1 + width * bytes), above, bytes);
    for (let x = 0; x < row.length; x += bytes) {
      const colour = row.readUIntBE(x, 3);
      colours.set(colour, (colours.get(colour) ?? 0) + 1);
    }
    above = row;
  }
  return colours;
}

/** PNG's five filters: each byte was written as the difference from a guess by its neighbours. */
function unfiltered(filter: number, row: Buffer, above: Buffer, bytes: number): Buffer<ArrayBuffer> {
  const result = Buffer.alloc(row.length);
  for (let x = 0; x < row.length; x++) {
    const left = result[x - bytes] ?? 0;
    const up = above[x] ?? 0;
    const corner = x < bytes ? 0 : (above[x - bytes] ?? 0);
    const guess = [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter] ?? 0;
    result[x] = ((row[x] ?? 0) + guess) & 0xff;
  }
  return result;
}

function paeth(left: number, up: number, corner: number): number {
  const [toLeft, toUp, toCorner] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}
