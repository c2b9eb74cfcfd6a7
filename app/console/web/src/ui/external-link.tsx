import type { ReactNode } from "react";
import { Icon } from "./icon.tsx";

/** A link to a page of a provider, in a new tab. Nothing for any other URL than one of https. */
export function ExternalLink({ url, children }: { url: string | null | undefined; children: ReactNode }) {
  if (!url?.startsWith("https://")) {
    return null;
  }
  return (
    <a className="small" href={url} target="_blank" rel="noopener noreferrer">
      {children} <Icon name="external" />
    </a>
  );
}
