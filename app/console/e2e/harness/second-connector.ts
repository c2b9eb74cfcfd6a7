import { CONNECTORS, passwordOf } from "./demo.ts";

/**
 * Gives the default space a second connector, which the demo does not have: the marketing space's registration at the demo
 * provider again, found by its issuer and so with the callback that all spaces share.
 */
export async function addSecondConnector(url: string): Promise<void> {
  const session = await send(url, "POST", "/api/session", {
    username: "carol",
    password: passwordOf("carol"),
  });
  const cookie = session.headers
    .getSetCookie()
    .map((line) => line.split(";", 1)[0])
    .join("; ");
  const { marketing, second } = CONNECTORS;
  const model = await send(
    url,
    "GET",
    `/s/marketing/api/actions/connector/${marketing.id}`,
    undefined,
    cookie,
  );
  const { config, connector_type_id } = (await model.json()) as { config: object; connector_type_id: string };
  await send(
    url,
    "POST",
    `/api/actions/connector/${second.id}`,
    {
      name: second.name,
      connector_type_id,
      config,
      secrets: { clientId: marketing.id, clientSecret: "demo-client-secret" },
    },
    cookie,
  );
}

async function send(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  cookie?: string,
): Promise<Response> {
  const response = await fetch(url + path, {
    method,
    headers: { ...(body ? { "content-type": "application/json" } : {}), ...(cookie ? { cookie } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (!response.ok) {
    throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  }
  return response;
}
