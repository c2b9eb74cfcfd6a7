/** A `BroadcastChannel` for tests: synchronous, observable, and blockable. */
export class FakeChannel extends EventTarget {
  private static all = new Set<FakeChannel>();
  private static blocked = false;
  private static original: typeof globalThis.BroadcastChannel | undefined;

  /** Replaces the real class. */
  static install() {
    FakeChannel.all.clear();
    FakeChannel.blocked = false;
    FakeChannel.original = globalThis.BroadcastChannel;
    globalThis.BroadcastChannel = FakeChannel as unknown as typeof BroadcastChannel;
  }

  static uninstall() {
    if (FakeChannel.original) {
      globalThis.BroadcastChannel = FakeChannel.original;
    }
  }

  /** Makes every further construction fail, as in an opaque origin. */
  static block() {
    FakeChannel.blocked = true;
  }

  /** The number of open channels. */
  static open(): number {
    return FakeChannel.all.size;
  }

  /** Sends a message to all open channels. */
  static send(data: unknown, name = "oauth_flow_completed") {
    for (const channel of [...FakeChannel.all]) {
      if (channel.name === name) {
        channel.dispatchEvent(new MessageEvent("message", { data }));
      }
    }
  }

  constructor(readonly name: string) {
    super();
    if (FakeChannel.blocked) {
      throw new DOMException("blocked", "SecurityError");
    }
    FakeChannel.all.add(this);
  }

  postMessage(data: unknown) {
    for (const channel of [...FakeChannel.all]) {
      if (channel !== this && channel.name === this.name) {
        channel.dispatchEvent(new MessageEvent("message", { data }));
      }
    }
  }

  close() {
    FakeChannel.all.delete(this);
  }
}

/** Forged and malformed messages, by description. */
export function forgedMessages(flowId = "flow-1"): [string, unknown][] {
  return [
    ["a forged success", { version: 1, flowId, connectorId: "github", status: "success" }],
    [
      "a forged error",
      { version: 1, flowId, connectorId: "github", status: "error", error: "access_denied" },
    ],
    ["another flow", { version: 1, flowId: "flow-999", connectorId: "github", status: "success" }],
    ["a future version", { version: 99, flowId, status: "success" }],
    ["null", null],
    ["text", "success"],
    ["a huge message", { flowId, status: "success", error: "x".repeat(1_000_000) }],
    ["a poisoned prototype", JSON.parse('{"__proto__":{"status":"success"},"status":{"toString":null}}')],
  ];
}
