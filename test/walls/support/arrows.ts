/**
 * The structure of a room, measured from its imports. A box is a file or folder directly in the room, an arrow a box that imports another (for types
 * too), a floor the length of the longest way down. A circle is a set of files that reach each other by imports.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** What a room looks like. */
export interface RoomShape {
  readonly room: string;
  readonly boxes: number;
  readonly arrows: number;
  readonly floors: number;
  /** Sets of boxes that reach each other. */
  readonly boxCircles: readonly (readonly string[])[];
  /** Sets of files that reach each other; paths within the room. */
  readonly fileCircles: readonly (readonly string[])[];
}

type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** Specifiers of static and dynamic imports and of re-exports. */
export function specifiersOf(text: string): string[] {
  const statements = text.matchAll(/^(?:import|export)\b(?:[^;"]*?\bfrom)?\s*"([^"\n]+)"/gm);
  const calls = text.matchAll(/\bimport\(\s*"([^"\n]+)"/g);
  return [...statements, ...calls].map((match) => match[1] as string);
}

/** The imports of a room's files from each other, and of other rooms' doors. Paths from the repository's root. */
export function importsOf(root: string, room: string): Graph {
  const graph = new Map<string, Set<string>>();
  for (const name of readdirSync(join(root, "src", room), { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ts") || name.endsWith(".d.ts")) continue;
    const path = `src/${room}/${name}`;
    const targets = specifiersOf(readFileSync(join(root, path), "utf8"))
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) => normalize(join(dirname(path), specifier)));
    graph.set(path, new Set(targets));
  }
  return graph;
}

/** Measures one room of the tree at `root`. The room's door is what others see, so that it is no box. */
export function shapeOf(root: string, room: string): RoomShape {
  const folder = `src/${room}/`;
  const files = new Map<string, Set<string>>();
  const boxes = new Map<string, Set<string>>();
  for (const [path, targets] of importsOf(root, room)) {
    const from = path.slice(folder.length);
    if (from === "mod.ts") continue;
    const inside = [...targets].filter((target) => target.startsWith(folder)).map((target) => target.slice(folder.length));
    files.set(from, new Set(inside));
    const box = boxes.get(boxOf(from)) ?? new Set();
    for (const target of inside) if (boxOf(target) !== boxOf(from) && target !== "mod.ts") box.add(boxOf(target));
    boxes.set(boxOf(from), box);
  }
  const arrows = [...boxes.values()].reduce((sum, targets) => sum + targets.size, 0);
  return { room, boxes: boxes.size, arrows, floors: floorsOf(boxes), boxCircles: circlesOf(boxes), fileCircles: circlesOf(files) };
}

function boxOf(path: string): string {
  return path.split("/", 1)[0] as string;
}

/** Sets of two or more that reach each other, and those that name themselves. Source: Tarjan, "Depth-First Search and Linear Graph Algorithms", 1972. */
export function circlesOf(graph: Graph): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (node: string): void => {
    order.set(node, order.size);
    low.set(node, order.get(node) as number);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!graph.has(next)) continue;
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node) as number, low.get(next) as number));
    }
    if (low.get(node) !== order.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1 || graph.get(node)?.has(node) === true) circles.push(circle.sort());
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return circles;
}

/** Boxes on the longest way down. What is in a circle counts once. */
function floorsOf(graph: Graph): number {
  const known = new Map<string, number>();
  const floor = (node: string, path: ReadonlySet<string>): number => {
    const seen = known.get(node);
    if (seen !== undefined) return seen;
    const below = [...(graph.get(node) ?? [])].filter((next) => !path.has(next));
    const result = 1 + Math.max(0, ...below.map((next) => floor(next, new Set([...path, node]))));
    known.set(node, result);
    return result;
  };
  return Math.max(0, ...[...graph.keys()].map((node) => floor(node, new Set())));
}
