import { useEffect, useState } from "react";
import { usePreferences } from "../lib/preferences.tsx";
import { Button } from "./button.tsx";

/** A text to copy exactly as it is. */
export function CopyText({ text, label }: { text: string; label: string }) {
  const { t } = usePreferences();
  const { copied, copy } = useCopy();
  return (
    <div className="copy-text">
      <code className="copy-text__text">{text}</code>
      <Button
        icon={copied ? "check" : "copy"}
        onClick={() => copy(text)}
        aria-label={`${copied ? t("common.copied") : t("common.copy")}: ${label}`}
      >
        {copied ? t("common.copied") : t("common.copy")}
      </Button>
    </div>
  );
}

/** Copies a text; `copied` is true for a moment afterwards. */
function useCopy(): { copied: boolean; copy: (text: string) => void } {
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
        // Not allowed: the text beside the button can be selected.
        () => {},
      );
    },
  };
}
