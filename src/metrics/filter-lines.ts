import { LF } from "./exposition.ts";
import { type FamilyFacts, FamilyLines } from "./family-lines.ts";
import { readSample } from "./line-parse.ts";
import { LineScan } from "./line-scan.ts";

/** Lines of one family that are in the page's form already: through the same rules once more, now strictly. */
export function filterLines(bytes: Buffer, facts: FamilyFacts): void {
  const scan = new LineScan();
  scan.begin(bytes);
  const family = new FamilyLines(facts, scan);
  let run = 0;
  for (let at = 0; at < bytes.length; ) {
    const from = scan.scan(bytes, at, family.prefix) ? family.accepts(bytes, at, run) : -1;
    const next = from < 0 ? bytes.indexOf(LF, at) + 1 : scan.end + 1;
    if (from >= 0) run = from;
    else {
      family.flush(bytes, run, at);
      const sample = readSample(bytes, at, next, facts.to);
      if (sample === undefined || !family.take(sample)) facts.tally.drop("syntax", 1);
      run = next;
    }
    at = next;
  }
  family.flush(bytes, run, bytes.length);
  family.close();
}
