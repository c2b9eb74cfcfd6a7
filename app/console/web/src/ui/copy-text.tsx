import { useCopy } from "../lib/copy.ts";
import { usePreferences } from "../lib/preferences.tsx";
import { Button } from "./button.tsx";

/** A text to be taken elsewhere exactly as it is. */
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
