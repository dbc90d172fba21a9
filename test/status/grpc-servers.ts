import { type handleUnaryCall, Server, ServerCredentials, type ServiceDefinition, status } from "@grpc/grpc-js";

const identity = (value: Buffer): Buffer => value;
const health: ServiceDefinition = {
  check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  },
};

export interface GrpcServer {
  readonly port: number;
  readonly done: () => void;
  /** User agents that asked. */
  readonly agents: string[];
}

/**
 * A real gRPC server. Service "" serves, "down" does not, "unknown" says UNKNOWN, "slow" never answers, any other is
 * NOT_FOUND. Without health it has no service at all.
 */
export async function startGrpc(withHealth = true): Promise<GrpcServer> {
  const server = new Server();
  const agents: string[] = [];
  if (withHealth) {
    const check: handleUnaryCall<Buffer, Buffer> = (call, answer) => {
      agents.push(String(call.metadata.get("user-agent")[0]));
      const service = call.request.subarray(2).toString();
      const states: Readonly<Record<string, number>> = { "": 1, "a.B": 1, down: 2 };
      if (service === "slow") return;
      if (service === "unknown") answer(null, Buffer.alloc(0));
      else if (states[service] === undefined) answer({ code: status.NOT_FOUND, details: "unknown service" });
      else answer(null, Buffer.from([8, states[service]]));
    };
    server.addService(health, { check });
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port, done: () => server.forceShutdown(), agents };
}
