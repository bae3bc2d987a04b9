/**
 * One measurement of bench/lsm.ts in a process of its own, which loads nothing but what it measures: `node lsm-child.js KIND ROOT NUMBERS`, the numbers
 * an object in JSON. Prints the figures as JSON. Run by support/published.ts.
 */
const [, , kind = "", root = "", text = "{}"] = process.argv;
const numbers = JSON.parse(text) as Readonly<Record<string, number>>;

/** The number of that name. @throws if it was not given */
function number(name: string): number {
  const value = numbers[name];
  if (value === undefined) throw new Error(`${name} is missing`);
  return value;
}

async function measure(): Promise<Record<string, number>> {
  switch (kind) {
    case "ours":
      return await (await import("./lsm-ours.ts")).measureOurs(root, number("rows"));
    case "theirs":
      return await (await import("./lsm-theirs.ts")).measureTheirs(root, number("rows"));
    case "growth":
      return await (await import("./lsm-growth.ts")).measureGrowth(root, number("keys"));
    case "amplification": {
      const { measureAmplification } = await import("./lsm-amplification.ts");
      return await measureAmplification(root, { userMib: number("mib"), l0Mib: number("l0-mib"), keys: number("keys") });
    }
    default:
      throw new Error(`nothing is called "${kind}"`);
  }
}

console.log(JSON.stringify(await measure()));
process.exit(0);
