/** A user who signs in and connects with requests instead of a browser. */
export class ScriptedUser {
  readonly #cookies = new Map<string, string>();

  constructor(
    private readonly site: string,
    private readonly name: string,
  ) {}

  /** Signs in at the console of the demo. */
  async signIn(): Promise<void> {
    const response = await this.#request(`${this.site}/api/session`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ username: this.name, password: `${this.name}-demo` }),
    });
    expectStatus(response, 200);
  }

  /** Origin of the API of a connector. */
  async originOfApi(connector: string): Promise<string> {
    const response = await this.#request(`${this.site}/api/actions/connector/${connector}`, {});
    expectStatus(response, 200);
    const { config } = await response.json();
    return new URL(config.baseUrl).origin;
  }

  /** Connects as a click on the page of a start link does, and allows access with an account of the provider. */
  async connect(startUrl: string, account = this.name): Promise<void> {
    const link = new URL(startUrl);
    const connector = link.pathname.split("/").at(-3);
    const started = await this.#request(
      `${this.site}/internal/actions/connector/${connector}/_start_oauth_flow`,
      {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ connection: link.searchParams.get("connection") }),
      },
    );
    expectStatus(started, 200);
    const { flowId } = await started.json();
    let page = await this.#open(`${this.site}/connect/${connector}?flow=${flowId}`);
    if (page.html.includes('name="password"')) {
      page = await this.#submit(page, { username: account, password: `${account}-pw` });
    }
    await this.#submit(page, { decision: "allow" });
    const flow = await this.#request(`${this.site}/internal/actions/oauth_flow/${flowId}`, {});
    const { status } = await flow.json();
    if (status !== "authorized") {
      throw new Error(`the flow ended with ${status}`);
    }
  }

  /** Submits the form of a page with its hidden and checked fields, and follows the redirects. */
  async #submit(page: Page, values: Record<string, string>): Promise<Page> {
    const action = /<form method="post" action="([^"]+)"/.exec(page.html)?.[1];
    if (action === undefined) {
      throw new Error(`there is no form at ${page.url}`);
    }
    const body = new URLSearchParams(values);
    for (const [input] of page.html.matchAll(/<input type="hidden"[^>]*>|<input [^>]*\bchecked>/g)) {
      body.append(attribute(input, "name"), attribute(input, "value"));
    }
    return this.#open(new URL(action, page.url).href, { method: "POST", body });
  }

  async #open(url: string, init: RequestInit = {}): Promise<Page> {
    let at = url;
    let response = await this.#request(at, init);
    for (let hops = 0; response.status === 303 && hops < 10; hops += 1) {
      at = new URL(response.headers.get("location") ?? "", at).href;
      response = await this.#request(at, {});
    }
    expectStatus(response, 200);
    return { url: at, html: await response.text() };
  }

  /** Sends a request with the cookies. They are not separated by port (RFC 6265 §8.5), as in browsers. */
  async #request(url: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("cookie", [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; "));
    const response = await fetch(url, { ...init, headers, redirect: "manual" });
    for (const cookie of response.headers.getSetCookie()) {
      const [pair = ""] = cookie.split(";");
      const split = pair.indexOf("=");
      this.#cookies.set(pair.slice(0, split), pair.slice(split + 1));
    }
    return response;
  }
}

interface Page {
  url: string;
  html: string;
}

function attribute(element: string, name: string): string {
  return new RegExp(`\\b${name}="([^"]*)"`).exec(element)?.[1] ?? "";
}

function expectStatus(response: Response, status: number): void {
  if (response.status !== status) {
    throw new Error(`${response.url} responded with ${response.status}`);
  }
}
