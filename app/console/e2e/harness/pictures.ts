import { copyFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";

const FOLDER = fileURLToPath(new URL("../screenshots/", import.meta.url));
const SHOWN = fileURLToPath(new URL("../../../../docs/pictures/", import.meta.url));

/** Pixels of a picture for each of the page: sharp where it is shown, quick where it is only looked at. */
export const PIXELS = process.env.PICTURES ? 2 : 1;

/** Takes a picture of the page at rest, to be looked at after the run. */
export async function takePicture(page: Page, name: string): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  await page.evaluate(settled);
  await page.screenshot({ path: `${FOLDER}${name}.png` });
}

/** The same for a picture that the repository shows: `npm run pictures` puts it there. */
export async function takeShownPicture(page: Page, name: string): Promise<void> {
  await takePicture(page, name);
  if (process.env.PICTURES) {
    mkdirSync(SHOWN, { recursive: true });
    copyFileSync(`${FOLDER}${name}.png`, `${SHOWN}${name}.png`);
  }
}

/** Waits for everything that moves and will come to rest. */
async function settled(): Promise<void> {
  const passing = document
    .getAnimations()
    .filter((animation) => animation.effect?.getTiming().iterations !== Infinity);
  await Promise.all(passing.map((animation) => animation.finished.catch(() => {})));
}
