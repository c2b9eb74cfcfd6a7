// Removes the named build folders of the calling workspace, so that a renamed module leaves nothing behind in a package.
import { rmSync } from "node:fs";

for (const folder of process.argv.slice(2)) {
  rmSync(folder, { recursive: true, force: true });
}
