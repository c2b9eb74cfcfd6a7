// Removes the given build folders of the calling workspace, so that a package contains no output of a renamed module.
import { rmSync } from "node:fs";

for (const folder of process.argv.slice(2)) {
  rmSync(folder, { recursive: true, force: true });
}
