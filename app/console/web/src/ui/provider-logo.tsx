import { useQuery } from "@tanstack/react-query";
import { Monogram } from "./monogram.tsx";

/** The logo of a provider, beside its name; where there is none, the first letter of the name. */
export function ProviderLogo({
  name,
  icon,
  profile,
}: {
  name: string;
  /** The name of the logo. */
  icon?: string | null | undefined;
  /** The id of a profile. It determines the logo where none is named. */
  profile?: string;
}) {
  // A separate script: the logos are large, and no page needs them at once.
  const { data } = useQuery({
    queryKey: ["provider-icons"],
    queryFn: () => import("../generated/provider-icons.ts"),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  const path = data && own(data.PROVIDER_ICONS, icon ?? own(data.ICON_OF_PROFILE, profile));
  if (path === undefined) {
    return <Monogram name={name} />;
  }
  return (
    <span className="monogram monogram--logo" aria-hidden="true">
      <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">
        <path d={path} />
      </svg>
    </span>
  );
}

function own(values: Readonly<Record<string, string>>, name: string | undefined): string | undefined {
  return name !== undefined && Object.hasOwn(values, name) ? values[name] : undefined;
}
