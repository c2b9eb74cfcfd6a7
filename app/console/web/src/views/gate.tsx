import type { CallOptions, Session } from "@grantry/client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { describeError, isSignedOut, signsInElsewhere } from "../lib/errors.ts";
import { BASE_PATH, navigate, type Place, safeNext, urlOf, usePlace } from "../lib/location.ts";
import { usePreferences } from "../lib/preferences.tsx";
import { sessionQuery } from "../lib/queries.ts";
import { HereProvider, spaceName } from "../lib/session.tsx";
import { Button } from "../ui/button.tsx";
import { EmptyState } from "../ui/state.tsx";
import { LoginView } from "./login.tsx";
import { Shell } from "./shell.tsx";

type RootCall = Pick<CallOptions, "basePath" | "fetch">;

/** Shows the console to a signed-in user, and else the log-in. */
export function Gate({ fetch }: { fetch: typeof globalThis.fetch | undefined }) {
  const { t } = usePreferences();
  const place = usePlace();
  const queryClient = useQueryClient();
  const call = useMemo<RootCall>(() => ({ basePath: BASE_PATH, fetch }), [fetch]);
  const { data: session, error, refetch, isPending } = useQuery(sessionQuery(call));

  if (isSignedOut(error)) {
    return (
      <LoginView
        call={call}
        isElsewhere={signsInElsewhere(error)}
        onSignedIn={async () => {
          // Data of an earlier user must not remain.
          queryClient.removeQueries({ predicate: (query) => query.queryKey[1] !== "session" });
          await refetch();
        }}
      />
    );
  }
  if (session) {
    return <SignedIn session={session} place={place} call={call} />;
  }
  return (
    <main className="center">
      {isPending ? (
        <span className="spinner spinner--large" role="status" aria-label={t("common.loading")} />
      ) : (
        <EmptyState icon="warning" title={t("error.unexpected_response")} text={describeError(error, t)}>
          <Button onClick={() => void refetch()}>{t("common.retry")}</Button>
        </EmptyState>
      )}
    </main>
  );
}

function SignedIn({ session, place, call }: { session: Session; place: Place; call: RootCall }) {
  const { t } = usePreferences();
  const space = session.spaces.find(({ id }) => id === place.space);
  const here = useMemo(
    () => space && { session, space, call: { ...call, space: space.id } },
    [session, space, call],
  );
  const elsewhere = redirection(session, place);

  useEffect(() => {
    if (elsewhere !== undefined) {
      navigate(elsewhere, { replace: true });
    }
  }, [elsewhere]);

  if (elsewhere !== undefined) {
    return null;
  }
  if (!here) {
    return (
      <main className="center">
        {session.spaces.length === 0 ? (
          <EmptyState icon="shield" title={t("shell.noSpacesTitle")} text={t("shell.noSpacesText")} />
        ) : (
          <EmptyState icon="search" title={t("shell.unknownSpaceTitle")} text={t("shell.unknownSpaceText")}>
            {session.spaces.map((other) => (
              <Button key={other.id} onClick={() => navigate(urlOf(other.id))}>
                {t("shell.goToSpace", { space: spaceName(other) })}
              </Button>
            ))}
          </EmptyState>
        )}
      </main>
    );
  }
  return (
    <HereProvider value={here}>
      <Shell key={here.space.id} view={place.view === "login" ? "connectors" : place.view} />
    </HereProvider>
  );
}

/** The URL to which a signed-in user is redirected, if any. */
function redirection(session: Session, place: Place): string | undefined {
  if (place.view === "login") {
    return safeNext(place.parameters.get("next"));
  }
  const [first] = session.spaces;
  const hasDefault = session.spaces.some(({ id }) => id === "default");
  const isAtRoot = place.space === "default" && !hasDefault && first !== undefined;
  return isAtRoot ? urlOf(first.id) : undefined;
}
