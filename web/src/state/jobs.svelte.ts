/** Jobs of the server as this page knows them, and tasks as promises that end when their job does. */

import { SvelteMap } from "svelte/reactivity";
import type { Job, Result, TaskName, Tasks } from "../core/api";
import { cancelJob, resultOf, resumeJob, ServerFault, submit } from "../core/client";

type Ended = { who: unknown; resolve: () => void; reject: (fault: ServerFault) => void };

class Jobs {
  /** Newest last. */
  all = new SvelteMap<string, Job>();
  #waiting = new Map<string, Ended[]>();
  /** Jobs that this tab cancelled or paused, and that may go on for others. */
  #left = new Set<string>();

  get running(): Job[] {
    return [...this.all.values()].filter((j) => j.state === "running" || j.state === "waiting");
  }

  /** What the socket says, or an answer, which the socket may have overtaken. */
  hear(job: Job): void {
    const under = job.state === "waiting" || job.state === "running";
    if ((under && this.#left.has(job.id)) || job.at < (this.all.get(job.id)?.at ?? job.at)) return;
    this.all.set(job.id, job);
    const ended = this.#waiting.get(job.id);
    if (!ended || under) return;
    this.#waiting.delete(job.id);
    const fault = faultOf(job);
    for (const one of ended) fault ? one.reject(fault) : one.resolve();
  }

  /** The server's list after an absence. What it does not know of the jobs of `before` went with an earlier server. */
  hearAfter(before: readonly string[], listed: readonly Job[]): void {
    for (const job of listed) this.hear(job);
    const known = new Set(listed.map((job) => job.id));
    for (const id of before) {
      const job = this.all.get(id);
      if (!job || known.has(id) || !["waiting", "running", "paused"].includes(job.state)) continue;
      const message = "The server was started anew before this was done.\n  Ask again.";
      this.hear({ ...job, state: "failed", error: { kind: "Gone", message } });
    }
  }

  /**
   * Hands a task in and waits for what it finds. `begun` is told of the job, unless the result was there already.
   * A paused job counts as ended: its result is what it had so far. `who` waits; see `leave`.
   */
  async run<T extends TaskName>(
    task: T,
    args: Tasks[T]["args"],
    begun?: (job: Job) => void,
    who?: unknown,
  ): Promise<Result<Tasks[T]["meta"]>> {
    const { job, result } = await submit(task, args);
    if (result) return result;
    this.#begin(job);
    begun?.(job);
    await this.#end(job.id, who);
    return resultOf(job.key);
  }

  /** Ends a job for this tab, whoever in it waits; for others it goes on. */
  async cancel(id: string): Promise<void> {
    const job = await cancelJob(id);
    if (job.state === "cancelled" || job.state === "paused") this.#left.add(id);
    this.hear(job);
  }

  /** `who` waits no longer: others of this tab go on waiting, and without any the job is cancelled. */
  async leave(id: string, who: unknown): Promise<void> {
    const waiting = this.#waiting.get(id) ?? [];
    const others = waiting.filter((one) => one.who !== who);
    if (others.length === 0) return this.cancel(id);
    this.#waiting.set(id, others);
    const fault = cancelled(this.all.get(id)?.title);
    for (const one of waiting) if (one.who === who) one.reject(fault);
  }

  /** Goes on with a paused job, and waits for what it finds. */
  async resume<Meta>(id: string, who?: unknown): Promise<Result<Meta>> {
    const job = await resumeJob(id);
    this.#begin(job);
    await this.#end(id, who);
    return resultOf<Meta>(job.key);
  }

  forgetEnded(): void {
    for (const job of [...this.all.values()]) {
      if (job.state === "done" || job.state === "failed" || job.state === "cancelled") this.all.delete(job.id);
    }
  }

  /** From now on this tab hears of it again. */
  #begin(job: Job): void {
    this.#left.delete(job.id);
    this.hear(job);
  }

  #end(id: string, who: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), { who, resolve, reject }]);
      const now = this.all.get(id);
      if (now) this.hear(now);
    });
  }
}

function faultOf(job: Job): ServerFault | null {
  if (job.state === "failed") {
    return new ServerFault(job.error?.kind ?? "Failed", job.error?.message ?? `${job.title} failed.`, 0);
  }
  return job.state === "cancelled" ? cancelled(job.title) : null;
}

const cancelled = (title = "The task") => new ServerFault("Cancelled", `${title} was cancelled.`, 0);

export const jobs = new Jobs();
