/** Pause between two checks of a server that responds, in milliseconds. */
const HEARTBEAT = 20_000;
/** First pause between two checks of a server that does not; it doubles with each. */
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30_000;
/** A check without a response counts as failed after this time. */
const CHECK_TIMEOUT = 5000;

/** Whether the server responds, and when it is tried again. */
export interface ServerState {
  isDown: boolean;
  /** Milliseconds on the clock of `Date.now()`; null while a check runs. */
  retryAt: number | null;
}

const UP: ServerState = { isDown: false, retryAt: null };

/**
 * Watches whether the server responds: by the requests of the page, and by a check from time to time, without cookies, so
 * that a check does not extend a session. While the server is gone it tries again, with growing pauses.
 */
export class ServerMonitor {
  private state = UP;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isChecking = false;
  private readonly listeners = new Set<() => void>();

  /** `recover` reads again what the page shows, when the server responds again. */
  constructor(
    private readonly send: typeof globalThis.fetch | undefined,
    private readonly url: string,
    private readonly recover: () => Promise<void>,
  ) {}

  /** A `fetch` whose failures start a check. */
  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    try {
      const response = await this.request(input, init);
      if (await isOutage(response)) {
        this.suspect();
      }
      return response;
    } catch (error) {
      if (!init?.signal?.aborted) {
        this.suspect();
      }
      throw error;
    }
  };

  readonly subscribe = (changed: () => void): (() => void) => {
    this.listeners.add(changed);
    return () => this.listeners.delete(changed);
  };

  readonly snapshot = (): ServerState => this.state;

  /** Checks at once. */
  readonly retry = (): void => {
    if (!this.isChecking) {
      void this.check();
    }
  };

  /** Starts the checks. Returns the function that stops them. */
  start(): () => void {
    const hint = () => {
      if (this.state.isDown) {
        this.retry();
      }
    };
    const offline = () => this.suspect();
    window.addEventListener("online", hint);
    window.addEventListener("focus", hint);
    window.addEventListener("offline", offline);
    this.schedule(HEARTBEAT);
    return () => {
      clearTimeout(this.timer);
      window.removeEventListener("online", hint);
      window.removeEventListener("focus", hint);
      window.removeEventListener("offline", offline);
    };
  }

  private suspect(): void {
    if (!this.state.isDown) {
      this.retry();
    }
  }

  private async check(): Promise<void> {
    this.isChecking = true;
    clearTimeout(this.timer);
    if (this.state.isDown) {
      this.set({ isDown: true, retryAt: null });
    }
    const responds = await this.responds();
    if (responds && this.state.isDown) {
      await this.recover().catch(() => {});
    }
    this.isChecking = false;
    if (responds) {
      this.failures = 0;
      this.set(UP);
      this.schedule(HEARTBEAT);
    } else {
      const pause = Math.min(FIRST_PAUSE * 2 ** this.failures, LONGEST_PAUSE);
      this.failures += 1;
      this.set({ isDown: true, retryAt: Date.now() + pause });
      this.schedule(pause);
    }
  }

  private async responds(): Promise<boolean> {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), CHECK_TIMEOUT);
    try {
      const init: RequestInit = { cache: "no-store", credentials: "omit", signal: timeout.signal };
      // A host may not pass this path on; any response but that of a failed server or proxy counts.
      return (await this.request(this.url, init)).status < 500;
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  private request(input: RequestInfo | URL, init: RequestInit | undefined): Promise<Response> {
    return (this.send ?? globalThis.fetch)(input, init);
  }

  private schedule(pause: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (document.visibilityState === "visible" || this.state.isDown) {
        this.retry();
      } else {
        this.schedule(HEARTBEAT);
      }
    }, pause);
  }

  private set(state: ServerState): void {
    if (state.isDown !== this.state.isDown || state.retryAt !== this.state.retryAt) {
      this.state = state;
      for (const changed of this.listeners) {
        changed();
      }
    }
  }
}

/** Codes of a server that responds but cannot serve. Others with such a status are about a provider or an API. */
const OUTAGES = new Set(["store_unavailable", "directory_unavailable"]);

async function isOutage(response: Response): Promise<boolean> {
  if (response.status < 502 || response.status > 504) {
    return false;
  }
  try {
    const { code } = (await response.clone().json()) as { code?: unknown };
    return typeof code !== "string" || OUTAGES.has(code);
  } catch {
    // The page of a proxy.
    return true;
  }
}
