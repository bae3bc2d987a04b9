/** npm run rooms -- [DIRECTORY]: boxes, arrows, floors and circles of each room, of this tree or of another checkout. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { shapeOf } from "../walls/support/arrows.ts";
import { ROOMS, ROOT } from "../walls/support/skeleton.ts";

const root = resolve(process.argv[2] ?? ROOT);
console.log("room     boxes  arrows  floors  circles of boxes  circles of files (files in them)");
for (const room of ROOMS) {
  if (!existsSync(join(root, "src", room))) continue;
  const { boxes, arrows, floors, boxCircles, fileCircles } = shapeOf(root, room);
  const files = fileCircles.reduce((sum, circle) => sum + circle.length, 0);
  console.log(
    `${room.padEnd(8)} ${String(boxes).padStart(5)} ${String(arrows).padStart(7)} ${String(floors).padStart(7)} ${String(boxCircles.length).padStart(17)}  ${fileCircles.length} (${files})`,
  );
}
