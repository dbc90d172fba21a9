import { type Fact, type StatusDocument, type StatusSection, shown, type Table } from "./status-document.ts";

/** Nothing is loaded, nothing runs: the page is its text and these rules. */
export const PAGE_HEADERS = {
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
} as const;

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --good: #2a7d46; --bad: #b3261e; --waiting: #9a6700; --soft: #8883; }
@media (prefers-color-scheme: dark) { :root { --good: #6fcf8e; --bad: #ff8a80; --waiting: #e8b339; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 3rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; margin-bottom: 1.25rem; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); grid-auto-flow: dense; gap: 1rem; align-items: start; }
section { border: 1px solid var(--line); border-radius: .5rem; padding: .9rem 1rem; min-width: 0; }
section.wide { grid-column: 1 / -1; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
dt { opacity: .7; }
dd { margin: 0; overflow-wrap: anywhere; }
dl + .scroll, dl + .empty { margin-top: .75rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .93em; }
th, td { text-align: left; padding: .2rem .75rem .2rem 0; vertical-align: top; }
td:last-child { overflow-wrap: anywhere; padding-right: 0; }
td.unit { white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
th { font-weight: 600; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { border-bottom: 1px solid var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } .waiting { color: var(--waiting); }
.good::before { content: "\\2713\\a0"; } .bad::before { content: "\\2717\\a0"; } .waiting::before { content: "\\2026\\a0"; }
.empty, .when { opacity: .7; }
`;

export interface PageOptions {
  readonly title: string;
  /** When it was made, for people. */
  readonly at: Date;
  /** Seconds until the browser asks again; without it, never. */
  readonly refresh: number | undefined;
}

/** The whole document as one page without scripts; readable on a phone and in the dark. */
export function statusHtml(document: StatusDocument, { title, at, refresh }: PageOptions): string {
  const again = refresh === undefined ? "" : `<meta http-equiv="refresh" content="${refresh}">\n`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${again}<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header><h1>${escaped(title)}</h1><span class="when">${escaped(at.toISOString())}</span></header>
<main>
${document.map(sectionHtml).join("\n")}
</main>
</body>
</html>
`;
}

function sectionHtml({ key, title, facts, table }: StatusSection): string {
  const list = facts.length === 0 ? "" : `<dl>${facts.map(factHtml).join("")}</dl>`;
  const wide = table?.wide === true ? ' class="wide"' : "";
  const rows = table === undefined ? "" : tableHtml(table);
  return `<section id="${escaped(key)}"${wide}><h2>${escaped(title)}</h2>${list}${rows}</section>`;
}

function factHtml({ label, value, unit, mood }: Fact): string {
  return `<dt>${escaped(label)}</dt><dd${classOf(mood)}>${escaped(shown(value, unit))}</dd>`;
}

function tableHtml({ columns, rows, empty }: Table): string {
  if (rows.length === 0) return `<p class="empty">${escaped(empty)}</p>`;
  const head = columns.map(({ label }) => `<th scope="col">${escaped(label)}</th>`).join("");
  const body = rows.map(({ cells, mood }) => {
    // The mood marks the first cell: one sign a row is enough.
    const texts = columns.map(
      ({ unit }, index) =>
        `<td${classOf(index === 0 ? mood : unit && "unit")}>${escaped(shown(cells[index], unit))}</td>`,
    );
    return `<tr>${texts.join("")}</tr>`;
  });
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

const classOf = (mood: string | undefined): string => (mood === undefined ? "" : ` class="${mood}"`);

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (letter) => entities[letter] ?? letter);
