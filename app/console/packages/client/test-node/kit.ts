import { expect, vi } from "vitest";
import { AgentClient, type AgentClientOptions, GrantryError } from "../src/node/index.ts";

/** A key of the form that the server prints. */
export const KEY = "gak_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/** What `fetch` returns: a response, or a function that makes or refuses one. */
type Step = Response | ((init: RequestInit) => Promise<Response>);

/** A `fetch` that returns these responses in order. */
export function scripted(...steps: Step[]) {
  return vi.fn<typeof fetch>(async (_url, init = {}) => {
    const step = steps.shift();
    if (step === undefined) {
      throw new Error("more requests than expected");
    }
    return typeof step === "function" ? step(init) : step;
  });
}

/** A client of a server that returns these responses. */
export function clientOf(fetch: typeof globalThis.fetch, options: Partial<AgentClientOptions> = {}) {
  return new AgentClient({ baseUrl: "https://grantry.example/hub/", key: KEY, fetch, ...options });
}

/** A problem as the server sends it (RFC 9457). */
export function problem(code: string, status: number, members: object = {}, headers: HeadersInit = {}) {
  const body = {
    type: "about:blank",
    title: "",
    status,
    detail: "Why.",
    code,
    correlation_id: "c1",
    ...members,
  };
  return Response.json(body, { status, headers: { "content-type": "application/problem+json", ...headers } });
}

/** The error with which a call rejects. */
export async function failureOf(call: Promise<unknown>): Promise<GrantryError> {
  const error = await reasonOf(call);
  expect(error).toBeInstanceOf(GrantryError);
  return error as GrantryError;
}

/** What a call rejects with. */
export function reasonOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.unreachable("the call did not fail"),
    (reason: unknown) => reason,
  );
}
