import { useQuery } from "@tanstack/react-query";
import type { ComponentType } from "react";
import { usePreferences } from "../lib/preferences.tsx";
import { Button } from "./button.tsx";
import { EmptyState, SkeletonRows } from "./state.tsx";

/**
 * A part of the console in a separate script, which is loaded when the part is first shown: it is not needed by every user.
 * `name` is distinct for each part.
 */
export function loadedLater<Props extends object>(
  name: string,
  load: () => Promise<ComponentType<Props>>,
): ComponentType<Props> {
  return function LoadedLater(props: Props) {
    const { t } = usePreferences();
    const { data: Part, error } = useQuery({
      queryKey: ["script", name],
      queryFn: load,
      staleTime: Number.POSITIVE_INFINITY,
      gcTime: Number.POSITIVE_INFINITY,
      retry: false,
    });
    if (Part) {
      return <Part {...props} />;
    }
    if (error) {
      // After an update of the server, the names of scripts are others.
      return (
        <EmptyState icon="warning" title={t("part.title")} text={t("part.text")}>
          <Button onClick={() => window.location.reload()}>{t("part.reload")}</Button>
        </EmptyState>
      );
    }
    return <SkeletonRows label={t("common.loading")} />;
  };
}
