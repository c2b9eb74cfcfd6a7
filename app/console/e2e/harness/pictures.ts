import { copyFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";

const FOLDER = fileURLToPath(new URL("../screenshots/", import.meta.url));
const SHOWN = fileURLToPath(new URL("../../../../docs/pictures/", import.meta.url));

/** Device pixels per pixel: 2 for the pictures of the documents, 1 for those of a test run. */
export const PIXELS = process.env.PICTURES ? 2 : 1;

/** Takes a picture of the page after all animations. */
export async function takePicture(page: Page, name: string): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  await page.evaluate(animationsFinished);
  await page.screenshot({ path: `${FOLDER}${name}.png` });
}

/** The same for a picture of the documents: `npm run pictures` writes it there. */
export async function takeShownPicture(page: Page, name: string): Promise<void> {
  await takePicture(page, name);
  if (process.env.PICTURES) {
    mkdirSync(SHOWN, { recursive: true });
    copyFileSync(`${FOLDER}${name}.png`, `${SHOWN}${name}.png`);
  }
}

/** Waits for all finite animations. */
async function animationsFinished(): Promise<void> {
  const finite = document
    .getAnimations()
    .filter((animation) => animation.effect?.getTiming().iterations !== Infinity);
  await Promise.all(finite.map((animation) => animation.finished.catch(() => {})));
}
