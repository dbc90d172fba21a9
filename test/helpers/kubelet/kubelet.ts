import { join } from "node:path";
import { eventually, patience } from "../eventually.ts";
import { temporaryFolder } from "../paths.ts";
import { ContainerProcess, type Ended, folderOf, type Place } from "./container-process.ts";
import type { Image } from "./image.ts";
import {
  type Action,
  type Container,
  environmentOf,
  expand,
  type NodeFacts,
  type Pod,
  type Probe,
  portOf,
} from "./pod.ts";
import { type Prober, startProber } from "./prober.ts";
import { makeVolumes } from "./volumes.ts";

export interface KubeletOptions {
  /** Words that run a program on the "node": where the kubelet asks from, outside of the pod. */
  readonly node: readonly string[];
  /** Path of the pod's network namespace. */
  readonly network: string;
  readonly facts: NodeFacts;
  readonly images: (image: string) => Image;
  /** When a native sidecar's preStop runs: as the pod's end begins, or once the application is gone. */
  readonly sidecarPreStop?: "first" | "after-application";
}

const MOST_STARTS = 4;
/** The kubelet gives a container so long even when the pod's time is over (minimumGracePeriodInSeconds), ms. */
const LEAST_GRACE = 2_000;

/** What happened, in order: `started NAME`, `ready NAME`, `ended NAME 0`, `preStop NAME`, … */
export type History = readonly string[];

/**
 * A small stand-in for the kubelet: one pod, its containers as processes in namespaces, in the kubelet's order. Run-once
 * init containers one after the other; native sidecars until their start-up probe; then the containers, each hook before
 * the next; restarts; the end of a Job; preStop, SIGTERM, grace, SIGKILL, sidecars in reverse order after the rest.
 */
export class Kubelet {
  readonly #pod: Pod;
  readonly #options: KubeletOptions;
  readonly #folder = temporaryFolder("kubelet");
  readonly #volumes: ReadonlyMap<string, string>;
  readonly #running = new Map<string, ContainerProcess>();
  readonly #results = new Map<string, Ended>();
  readonly #history: string[] = [];
  readonly #attempts = new Map<string, number>();
  #prober: Prober | undefined;
  #stopping = false;

  constructor(pod: Pod, options: KubeletOptions) {
    this.#pod = pod;
    this.#options = options;
    this.#volumes = makeVolumes(pod, options.facts, join(this.#folder.path, "volumes"));
  }

  get history(): History {
    return this.#history;
  }

  /** Everything that the containers said, for a failure's message. */
  get output(): string {
    return [...this.#running.values()].map((one) => `--- ${one.name}\n${one.output}`).join("\n");
  }

  container(name: string): ContainerProcess {
    const found = this.#running.get(name);
    if (found === undefined) throw new Error(`there is no container ${name}: ${this.#history.join(", ")}`);
    return found;
  }

  get #sidecars(): readonly Container[] {
    return (this.#pod.spec.initContainers ?? []).filter((one) => one.restartPolicy === "Always");
  }

  /** Starts everything; resolves when the last container has been started. Throws when an init container fails. */
  async start(): Promise<void> {
    this.#prober = await startProber(this.#options.node);
    for (const container of this.#pod.spec.initContainers ?? []) {
      if (container.restartPolicy === "Always") await this.#startLasting(container, true);
      else await this.#runOnce(container);
    }
    for (const container of this.#pod.spec.containers) await this.#startLasting(container, false);
  }

  async #runOnce(container: Container): Promise<void> {
    const running = this.#launch(container);
    const end = await running.ended;
    this.#history.push(`ended ${container.name} ${end.code ?? end.signal}`);
    if (end.code !== 0) throw new Error(`init container ${container.name} failed:\n${running.output}`);
  }

  async #startLasting(container: Container, waitForStart: boolean): Promise<void> {
    const running = this.#launch(container);
    const hook = container.lifecycle?.postStart;
    if (hook !== undefined) {
      const good = await this.#act(running, container, hook);
      this.#history.push(`postStart ${container.name} ${good ? "done" : "failed"}`);
      if (!good) throw new Error(`postStart of ${container.name}: ${this.#history.join(", ")}\n${running.output}`);
    }
    if (waitForStart && container.startupProbe !== undefined) {
      await this.#until(container, container.startupProbe);
      this.#history.push(`up ${container.name}`);
    }
  }

  #launch(container: Container): ContainerProcess {
    const image = this.#options.images(container.image);
    const environment = environmentOf(container, this.#pod, this.#options.facts);
    const words = [...(container.command ?? image.entrypoint), ...(container.args ?? [])];
    const attempt = (this.#attempts.get(container.name) ?? 0) + 1;
    this.#attempts.set(container.name, attempt);
    const place: Place = {
      network: this.#options.network,
      folder: folderOf(this.#folder.path, container.name, attempt),
      image,
      mounts: Object.fromEntries(
        (container.volumeMounts ?? []).map(({ name, mountPath }) => {
          const folder = this.#volumes.get(name);
          if (folder === undefined) throw new Error(`${container.name} mounts ${name}, which is no volume`);
          return [mountPath, folder];
        }),
      ),
      environment,
      security: { ...this.#pod.spec.securityContext, ...container.securityContext },
    };
    const running = new ContainerProcess(
      container,
      words.map((word) => expand(word, environment)),
      place,
    );
    this.#running.set(container.name, running);
    this.#history.push(`started ${container.name}`);
    void running.ended.then((end) => this.#onEnd(container, running, end));
    return running;
  }

  /** Restarts what has to run; notes the rest. */
  #onEnd(container: Container, running: ContainerProcess, end: Ended): void {
    const runOnce = (this.#pod.spec.initContainers ?? []).includes(container) && container.restartPolicy !== "Always";
    if (runOnce || this.#running.get(container.name) !== running) return;
    this.#results.set(container.name, end);
    this.#history.push(`ended ${container.name} ${end.code ?? end.signal}`);
    const policy = container.restartPolicy ?? this.#pod.spec.restartPolicy ?? "Always";
    const again = policy === "Always" || (policy === "OnFailure" && end.code !== 0);
    // A real one waits longer and longer; a test that gets so far has failed anyway.
    const tired = (this.#attempts.get(container.name) ?? 0) >= MOST_STARTS;
    if (!this.#stopping && again && !tired) this.#launch(container);
  }

  async #act(running: ContainerProcess, container: Container, action: Action): Promise<boolean> {
    if (action.exec !== undefined) {
      const environment = environmentOf(container, this.#pod, this.#options.facts);
      const { code, output } = await running.exec(action.exec.command.map((word) => expand(word, environment)));
      if (code !== 0) this.#history.push(`${action.exec.command[0]} said ${code}: ${output.trim()}`);
      return code === 0;
    }
    return this.#ask(container, action, 30);
  }

  async #ask(container: Container, action: Action, seconds: number): Promise<boolean> {
    const { podIp } = this.#options.facts;
    const timeout = seconds * 1_000;
    if (action.httpGet !== undefined) {
      const { port, path = "/" } = action.httpGet;
      return (await this.#prober?.http(podIp, portOf(container, port), path, timeout)) === true;
    }
    if (action.tcpSocket !== undefined) {
      return (await this.#prober?.tcp(podIp, portOf(container, action.tcpSocket.port), timeout)) === true;
    }
    throw new Error(`the stand-in does not know how to ask ${container.name}`);
  }

  async #probeOnce(container: Container, probe: Probe): Promise<boolean> {
    const running = this.container(container.name);
    if (probe.exec !== undefined) return this.#act(running, container, probe);
    return this.#ask(container, probe, probe.timeoutSeconds ?? 1);
  }

  /** Asks until the probe succeeds; faster than its period, slower than a busy loop. */
  async #until(container: Container, probe: Probe, limit = patience): Promise<void> {
    await eventually(`${container.name} answers its probe`, () => this.#probeOnce(container, probe), limit).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}\n${this.#history.join(", ")}\n${this.output}`, { cause: error });
      },
    );
  }

  /** Waits until every readiness probe of the pod succeeds, once each. */
  async ready(limit = patience): Promise<void> {
    for (const container of [...this.#sidecars, ...this.#pod.spec.containers]) {
      if (container.startupProbe !== undefined) await this.#until(container, container.startupProbe, limit);
      if (container.readinessProbe !== undefined) await this.#until(container, container.readinessProbe, limit);
      this.#history.push(`ready ${container.name}`);
    }
  }

  /** One answer of every liveness probe. */
  async alive(): Promise<boolean> {
    const asked = this.#pod.spec.containers.filter((one) => one.livenessProbe !== undefined);
    const answers = await Promise.all(asked.map((one) => this.#probeOnce(one, one.livenessProbe ?? {})));
    return answers.every((one) => one);
  }

  /** A pod that is to end: waits for its containers, then stops the sidecars. The phase that the pod's status would say. */
  async completed(limit = patience): Promise<"Succeeded" | "Failed"> {
    const names = this.#pod.spec.containers.map((one) => one.name);
    await eventually("every container has ended", () => names.every((name) => this.#results.has(name)), limit).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}\n${this.#history.join(", ")}\n${this.output}`, { cause: error });
      },
    );
    await this.stop();
    return names.every((name) => this.#results.get(name)?.code === 0) ? "Succeeded" : "Failed";
  }

  endOf(name: string): Ended | undefined {
    return this.#results.get(name);
  }

  /** The end of the pod, as when it is deleted. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const grace = (this.#pod.spec.terminationGracePeriodSeconds ?? 30) * 1_000;
    const end = performance.now() + grace;
    const sidecars = this.#sidecars.toReversed();
    const early = this.#options.sidecarPreStop === "first";
    const hooks = early ? Promise.all(sidecars.map((one) => this.#preStop(one))) : undefined;
    await Promise.all(this.#pod.spec.containers.map((one) => this.#terminate(one, end, true)));
    await hooks;
    for (const one of sidecars) await this.#terminate(one, end, !early);
  }

  async #preStop(container: Container): Promise<void> {
    const [hook, running] = [container.lifecycle?.preStop, this.#running.get(container.name)];
    if (hook === undefined || running === undefined || running.end !== undefined) return;
    const good = await this.#act(running, container, hook).catch(() => false);
    this.#history.push(`preStop ${container.name} ${good ? "done" : "failed"}`);
  }

  async #terminate(container: Container, deadline: number, withHook: boolean): Promise<void> {
    const running = this.#running.get(container.name);
    if (running === undefined || running.end !== undefined) return;
    if (withHook) await this.#preStop(container);
    running.signal("SIGTERM");
    const left = Math.max(LEAST_GRACE, deadline - performance.now());
    const gone = eventually(`${container.name} ends`, () => running.end, left);
    await gone.catch(() => {
      this.#history.push(`SIGKILL ${container.name}`);
      running.kill();
    });
    await running.ended;
  }

  /** Ends whatever is left; nothing of the pod remains. */
  async done(): Promise<void> {
    this.#stopping = true;
    for (const one of this.#running.values()) if (one.end === undefined) one.kill();
    await Promise.all([...this.#running.values()].map((one) => one.ended));
    this.#prober?.done();
    this.#folder.done();
  }
}
