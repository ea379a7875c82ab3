/** What evaluations of whole sets found, for every view that shows scores. Kept by network and set while the page lives. */

import { SvelteMap } from "svelte/reactivity";
import type { Evaluated, Job, Result } from "../core/api";
import type { Scores } from "../core/arrange";
import { ServerFault } from "../core/client";
import { jobs } from "./jobs.svelte";

interface Asked {
  result: Result<Evaluated> | null;
  /** Scores by image id. */
  scores: Map<string, Scores>;
  job: string | null;
  fault: string | null;
}

const NOTHING: Asked = { result: null, scores: new Map(), job: null, fault: null };

class Evaluations {
  #asked = new SvelteMap<string, Asked>();

  of(network: string | undefined, set: string | undefined): Asked {
    return this.#asked.get(`${network} ${set}`) ?? NOTHING;
  }

  /** The job that is computing it; null where none is. */
  running(network: string | undefined, set: string | undefined): Job | null {
    const { job, result, fault } = this.of(network, set);
    return job && !result && !fault ? (jobs.all.get(job) ?? null) : null;
  }

  /** Evaluates a network on a set; what is there or under way already is not asked for again. */
  async ask(network: string, set: string): Promise<void> {
    const id = `${network} ${set}`;
    const now = this.of(network, set);
    if (now.result || now.job !== null) return;
    const note = (news: Partial<Asked>) => this.#asked.set(id, { ...this.of(network, set), ...news });
    note({ fault: null, job: "" });
    try {
      const result = await jobs.run("evaluate", { network, set }, (job) => note({ job: job.id }));
      const scores = new Map(result.meta.images.map((i) => [i.id, i] as const));
      note({ result, scores, job: null });
    } catch (failed) {
      const cancelled = failed instanceof ServerFault && failed.kind === "Cancelled";
      note({ job: null, fault: cancelled ? null : failed instanceof Error ? failed.message : String(failed) });
    }
  }

  /** Forgets what was found, so that it is asked for anew: after truth was added. */
  forget(set: string): void {
    for (const id of [...this.#asked.keys()]) if (id.endsWith(` ${set}`)) this.#asked.delete(id);
  }
}

export const evaluations = new Evaluations();
