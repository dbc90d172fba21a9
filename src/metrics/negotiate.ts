import type { Escaping, Form } from "./exposition.ts";

/** The form of the page that a scraper gets, and the header that says so. */
export interface Agreed {
  readonly form: Form;
  readonly escaping: Escaping;
  readonly contentType: string;
}

interface Range {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
}

/** `a/b;x=y;q=0.5, …` in order of preference; the first of equals stays first. What is refused (q=0) comes last. */
function allRanges(header: string): readonly Range[] {
  return header
    .split(",")
    .map((part) => {
      const [type = "", ...rest] = part.split(";").map((one) => one.trim());
      const parameters = new Map(
        rest.map((one) => {
          const [name = "", value = ""] = one.split("=", 2);
          return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, "$1")] as const;
        }),
      );
      const quality = Number(parameters.get("q") ?? 1);
      return { type: type.toLowerCase(), parameters, quality: Number.isFinite(quality) ? quality : 0 };
    })
    .sort((a, b) => b.quality - a.quality);
}

/** Those that are welcome. */
const ranges = (header: string): readonly Range[] => allRanges(header).filter(({ quality }) => quality > 0);

/**
 * The best form that the Accept header allows; text 0.0.4 when it names nothing that we have (protobuf, for one), as
 * every scraper can read that. Names go out in UTF-8 only to who asks for it with `escaping=allow-utf-8`.
 */
export function agreeOnForm(accept: string | undefined): Agreed {
  for (const { type, parameters } of ranges(accept ?? "")) {
    const version = parameters.get("version");
    const escaping = parameters.get("escaping");
    if (type === "application/openmetrics-text" && [undefined, "1.0.0", "0.0.1"].includes(version))
      return agreed("openmetrics", version ?? "1.0.0", escaping);
    if (type === "text/plain" && [undefined, "0.0.4", "1.0.0"].includes(version))
      return agreed("text", version === "1.0.0" && escaping === undefined ? "0.0.4" : (version ?? "0.0.4"), escaping);
    if (type === "*/*" || type === "text/*") break;
  }
  return agreed("text", "0.0.4", undefined);
}

function agreed(form: Form, version: string, asked: string | undefined): Agreed {
  const escaping: Escaping = asked === "allow-utf-8" ? "allow-utf-8" : "underscores";
  const type = form === "text" ? "text/plain" : "application/openmetrics-text";
  const told = asked === undefined ? "" : `; escaping=${escaping}`;
  return { form, escaping, contentType: `${type}; version=${version}; charset=utf-8${told}` };
}

/** What we ask a source for: the form of the page if it has it, so that nothing must be written anew. */
export function acceptFor({ form, escaping }: Agreed): string {
  const names = escaping === "allow-utf-8" ? ";escaping=allow-utf-8" : "";
  const utf8Text = names === "" ? "" : `text/plain;version=1.0.0${names};q=0.6,`;
  const text = `${utf8Text}text/plain;version=0.0.4;q=0.5,*/*;q=0.1`;
  if (form === "text") return text;
  return `application/openmetrics-text;version=1.0.0${names},application/openmetrics-text;version=0.0.1;q=0.8,${text}`;
}

const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/** What we ask Envoy for: protobuf if it has it, which takes it less time; see protobuf-lines.ts. */
export const acceptOfEnvoy = (agreed: Agreed): string => `${protobuf},${acceptFor(agreed)}`;

/** Whether the content type is that of Envoy's protobuf. */
export function isDelimitedProtobuf(contentType: string | undefined): boolean {
  const [type, ...parameters] = (contentType ?? "")
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  return type === "application/vnd.google.protobuf" && parameters.includes("encoding=delimited");
}

/**
 * The form of a source's page; undefined when its content type says that it is something else. Without a content type,
 * or with one that web frameworks set by themselves, it is read as text, as Prometheus 2 does.
 */
export function formOf(contentType: string | undefined): Form | undefined {
  const type = (contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (type === "application/openmetrics-text") return "openmetrics";
  return type === "" || type.startsWith("text/") || type === "application/octet-stream" ? "text" : undefined;
}

export type Coding = "gzip" | "zstd" | undefined;

/**
 * The content coding that Accept-Encoding allows; zstd costs less and gives less. `*` alone asks for nothing: then the
 * page goes out as it is, unless that is refused by name.
 */
export function agreeOnCoding(acceptEncoding: string | undefined): Coding {
  const all = allRanges(acceptEncoding ?? "");
  const offered = all.filter(({ quality }) => quality > 0);
  const best = offered.find(({ type }) => type === "gzip" || type === "zstd" || type === "identity");
  if (best === undefined) return byWildcard(all);
  if (best.type === "identity") return undefined;
  const equal = offered.filter(({ quality }) => quality === best.quality).map(({ type }) => type);
  return equal.includes("zstd") ? "zstd" : "gzip";
}

/** `identity;q=0, *`: anything but the page as it is. gzip first: whoever names none knows that one. */
function byWildcard(all: readonly Range[]): Coding {
  const refused = (type: string): boolean => all.some((one) => one.type === type && one.quality === 0);
  const anything = all.some(({ type, quality }) => type === "*" && quality > 0);
  if (!anything || !refused("identity")) return undefined;
  return (["gzip", "zstd"] as const).find((type) => !refused(type));
}
