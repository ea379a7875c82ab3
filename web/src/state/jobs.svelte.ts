/** Jobs of the server as this page knows them, and tasks as promises that end when their job does. */

import { SvelteMap } from "svelte/reactivity";
import type { Job, Result, TaskName, Tasks } from "../core/api";
import { cancelJob, resultOf, resumeJob, ServerFault, submit } from "../core/client";

type Ended = { resolve: () => void; reject: (fault: ServerFault) => void };

class Jobs {
  /** Newest last. */
  all = new SvelteMap<string, Job>();
  #waiting = new Map<string, Ended[]>();

  get running(): Job[] {
    return [...this.all.values()].filter((j) => j.state === "running" || j.state === "waiting");
  }

  /** What the socket says. */
  hear(job: Job): void {
    this.all.set(job.id, job);
    const ended = this.#waiting.get(job.id);
    if (!ended || job.state === "waiting" || job.state === "running") return;
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
   * A paused job counts as ended: its result is what it had so far.
   */
  async run<T extends TaskName>(
    task: T,
    args: Tasks[T]["args"],
    begun?: (job: Job) => void,
  ): Promise<Result<Tasks[T]["meta"]>> {
    const { job, result } = await submit(task, args);
    if (result) return result;
    this.#begin(job);
    begun?.(job);
    await this.#end(job.id);
    return resultOf(job.key);
  }

  async cancel(id: string): Promise<void> {
    this.hear(await cancelJob(id));
  }

  /** Goes on with a paused job, and waits for what it finds. */
  async resume<Meta>(id: string): Promise<Result<Meta>> {
    const job = await resumeJob(id);
    this.#begin(job);
    await this.#end(id);
    return resultOf<Meta>(job.key);
  }

  forgetEnded(): void {
    for (const job of [...this.all.values()]) {
      if (job.state === "done" || job.state === "failed" || job.state === "cancelled") this.all.delete(job.id);
    }
  }

  /** The socket may have told of the end before the answer to the request came. */
  #begin(job: Job): void {
    const known = this.all.get(job.id);
    if (!known || known.state === "paused") this.all.set(job.id, job);
  }

  #end(id: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), { resolve, reject }]);
      const now = this.all.get(id);
      if (now) this.hear(now);
    });
  }
}

function faultOf(job: Job): ServerFault | null {
  if (job.state === "failed") {
    return new ServerFault(job.error?.kind ?? "Failed", job.error?.message ?? `${job.title} failed.`, 0);
  }
  return job.state === "cancelled" ? new ServerFault("Cancelled", `${job.title} was cancelled.`, 0) : null;
}

export const jobs = new Jobs();
