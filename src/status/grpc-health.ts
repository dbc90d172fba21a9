/** The one call of grpc.health.v1 that probes need, by hand: two messages with one field each. */
export const HEALTH_CHECK = "/grpc.health.v1.Health/Check";

/** HealthCheckRequest{service = 1} as a gRPC message: not compressed, with its length in front. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const field = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(field.length, 1);
  return Buffer.concat([head, field]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Buffer.from([...bytes, left]);
    bytes.push((left % 128) | 128);
  }
}

export interface UnaryAnswer {
  readonly httpStatus: number;
  /** grpc-status of the trailers, or of the headers when there are no trailers. */
  readonly grpcStatus: string | undefined;
  readonly grpcMessage: string | undefined;
  /** All data frames together. */
  readonly body: Buffer;
}

const statusNames: Readonly<Record<string, string>> = {
  "1": "cancelled",
  "4": "the deadline was exceeded",
  "5": "no such service",
  "7": "permission denied",
  "12": "the server does not implement grpc.health.v1.Health",
  "14": "unavailable",
  "16": "unauthenticated",
};
const servingNames: Readonly<Record<number, string>> = { 0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN" };

/** Why the answer does not say SERVING; undefined when it does. */
export function notServing({ httpStatus, grpcStatus, grpcMessage, body }: UnaryAnswer): string | undefined {
  if (httpStatus !== 200) return `it answered HTTP ${httpStatus} instead of gRPC`;
  if (grpcStatus === undefined) return "it sent no grpc-status";
  if (grpcStatus !== "0") {
    const words = statusNames[grpcStatus] ?? grpcMessage ?? "no reason given";
    return `gRPC status ${grpcStatus}: ${words}`;
  }
  const status = servingStatus(body);
  if (status === undefined) return "it sent no readable HealthCheckResponse";
  return status === 1 ? undefined : `it says ${servingNames[status] ?? `status ${status}`}`;
}

/** HealthCheckResponse{status = 1}; a message without the field says UNKNOWN. */
function servingStatus(body: Buffer): number | undefined {
  if (body.length < 5 || body[0] !== 0 || body.length < 5 + body.readUInt32BE(1)) return undefined;
  const message = body.subarray(5, 5 + body.readUInt32BE(1));
  let status = 0;
  for (let at = 0; at < message.length; ) {
    const tag = readVarint(message, at);
    if (tag === undefined) return undefined;
    const next = skip(message, tag.end, tag.value & 7);
    if (next === undefined) return undefined;
    if (tag.value === 8) status = readVarint(message, tag.end)?.value ?? 0;
    at = next;
  }
  return status;
}

/** The end of a field's content by its wire type; undefined when it runs over the end. */
function skip(message: Buffer, at: number, wireType: number): number | undefined {
  const length = wireType === 2 ? readVarint(message, at) : undefined;
  const end =
    wireType === 0
      ? readVarint(message, at)?.end
      : wireType === 1
        ? at + 8
        : wireType === 5
          ? at + 4
          : length && length.end + length.value;
  return end === undefined || end > message.length ? undefined : end;
}

function readVarint(message: Buffer, start: number): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let at = start, factor = 1; at < message.length && at < start + 10; at++, factor *= 128) {
    const byte = message[at] ?? 0;
    value += (byte & 127) * factor;
    if (byte < 128) return { value, end: at + 1 };
  }
  return undefined;
}
