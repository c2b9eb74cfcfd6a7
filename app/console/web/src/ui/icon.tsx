/** Path data on a 20 × 20 grid, drawn with round strokes. */
const PATHS = {
  check: "M4 10.5l4 4 8-9",
  checkCircle: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15zM6.8 10.3l2.2 2.2 4.2-4.7",
  clock: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15zM10 5.8V10l2.8 1.8",
  warning: "M10 3l7.5 13.5h-15zM10 8.2v3.6M10 14.1v.1",
  errorCircle: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15zM10 6.3v4.5M10 13.5v.1",
  circle: "M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15z",
  users:
    "M7.5 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 16.5c0-3 2.4-4.7 5.5-4.7s5.5 1.7 5.5 4.7M13 4a3 3 0 0 1 0 5.3M15.3 12.5c1.7.7 2.7 2.1 2.7 4",
  user: "M10 9.5a3.3 3.3 0 1 0 0-6.6 3.3 3.3 0 0 0 0 6.6zM3.8 17c.4-3 2.9-4.7 6.2-4.7s5.8 1.7 6.2 4.7",
  search: "M9 15a6 6 0 1 0 0-12 6 6 0 0 0 0 12zM13.5 13.5L17.5 17.5",
  plus: "M10 4v12M4 10h12",
  more: "M4.5 10h.1M10 10h.1M15.5 10h.1",
  close: "M5 5l10 10M15 5L5 15",
  back: "M12 5.5L7.5 10l4.5 4.5",
  chevron: "M5.5 8l4.5 4.5L14.5 8",
  external: "M8 4.5H4.5v11h11V12M11.5 3.5h5v5M16.2 3.8L9.5 10.5",
  copy: "M7.5 7.5h9v9h-9zM4.5 12.5h-1v-9h9v1",
  shield: "M10 2.5l6.5 2.3v4.7c0 4-2.7 6.7-6.5 8-3.8-1.3-6.5-4-6.5-8V4.8z",
  link: "M8.3 11.7l3.4-3.4M7.3 9.3L5.4 11.2a2.4 2.4 0 0 0 3.4 3.4l1.9-1.9M12.7 10.7l1.9-1.9a2.4 2.4 0 0 0-3.4-3.4L9.3 7.3",
} as const;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** An icon beside a text with the same meaning; hidden from screen readers. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
