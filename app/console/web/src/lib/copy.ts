import { useEffect, useState } from "react";

/** Copies a text, and says for a moment that it did. */
export function useCopy(): { copied: boolean; copy: (text: string) => void } {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) {
      return;
    }
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  return {
    copied,
    copy: (text) => {
      navigator.clipboard?.writeText(text).then(
        () => setCopied(true),
        // Refused: the text stands selectable beside the button.
        () => {},
      );
    },
  };
}
