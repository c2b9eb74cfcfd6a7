import { describe, expect, it } from "vitest";
import { minutesAndSeconds, relativeDay, relativeTime } from "../src/lib/time.ts";

const NOW = Date.parse("2026-06-15T12:00:00Z");
const ago = (time: string) => Date.parse(time);

describe("times", () => {
  it("are relative", () => {
    expect(relativeTime(NOW - 5_000, NOW, "en")).toBe("now");
    expect(relativeTime(NOW - 5 * 60_000, NOW, "en")).toBe("5 minutes ago");
    expect(relativeTime(NOW - 26 * 3_600_000, NOW, "de")).toBe("gestern");
  });

  it("are days where they are precise to the day", () => {
    expect(relativeDay(ago("2026-06-15T00:00:00Z"), NOW, "en")).toBe("today");
    expect(relativeDay(ago("2026-06-14T00:00:00Z"), NOW, "de")).toBe("gestern");
    expect(relativeDay(ago("2026-06-10T00:00:00Z"), NOW, "en")).toBe("5 days ago");
    expect(relativeDay(ago("2026-01-02T00:00:00Z"), NOW, "en")).toBe("Jan 2, 2026");
  });

  it("count down in minutes and seconds", () => {
    expect(minutesAndSeconds(600)).toBe("10:00");
    expect(minutesAndSeconds(9)).toBe("0:09");
  });
});
