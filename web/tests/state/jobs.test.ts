import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Job, Question } from "../../src/core/api";

const client = vi.hoisted(() => ({ submit: vi.fn(), cancelJob: vi.fn(), resumeJob: vi.fn(), resultOf: vi.fn() }));
vi.mock("../../src/core/client", async (original) => ({ ...(await original<object>()), ...client }));

import { jobs } from "../../src/state/jobs.svelte";

const question = { network: "n", image: "i", method: "rise", parameters: {}, target: null } satisfies Question;
let n = 0;
let job: Job;

beforeEach(() => {
  vi.resetAllMocks();
  const id = `j${++n}`;
  job = { id, at: 1, task: "explain", key: "k", title: "rise", state: "running", what: "", done: 0, total: 9, seconds: 0, preview: 0, resumable: false, error: null };
  client.submit.mockImplementation(() => Promise.resolve({ job, result: null }));
  client.resumeJob.mockImplementation(() => Promise.resolve(job));
  client.resultOf.mockResolvedValue("found");
});

/** What becomes of a question: what was found, or the kind of fault. */
function asked(who: object): { became: string | null } {
  const watched = { became: null as string | null };
  jobs.run("explain", question, undefined, who).then(
    (found) => (watched.became = String(found)),
    (fault: { kind: string }) => (watched.became = fault.kind),
  );
  return watched;
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

describe("a job for which several wait", () => {
  it("goes on when one panel leaves, and ends with the last", async () => {
    const [a, b] = [{}, {}];
    const [first, second] = [asked(a), asked(b)];
    await settled();
    await jobs.leave(job.id, a);
    await settled();
    expect([first.became, second.became]).toEqual(["Cancelled", null]);
    expect(client.cancelJob).not.toHaveBeenCalled();
    client.cancelJob.mockResolvedValue({ ...job, state: "cancelled" });
    await jobs.leave(job.id, b);
    await settled();
    expect(second.became).toBe("Cancelled");
    expect(client.cancelJob).toHaveBeenCalledOnce();
  });

  it("is over for the tab that cancelled it, though it runs on for others", async () => {
    const first = asked({});
    await settled();
    client.cancelJob.mockResolvedValue({ ...job, at: 2, state: "cancelled" });
    await jobs.cancel(job.id);
    jobs.hear({ ...job, at: 3, done: 3 });
    await settled();
    expect(first.became).toBe("Cancelled");
    expect(jobs.all.get(job.id)?.state).toBe("cancelled");
    client.submit.mockResolvedValue({ job: { ...job, at: 4 }, result: null });
    const again = asked({});
    await settled();
    expect(jobs.all.get(job.id)?.state).toBe("running");
    jobs.hear({ ...job, at: 5, state: "done" });
    await settled();
    expect(again.became).toBe("found");
  });

  it("is paused for the tab that paused it, and joined when it goes on", async () => {
    const first = asked({});
    await settled();
    client.cancelJob.mockResolvedValue({ ...job, at: 2, state: "paused" });
    await jobs.cancel(job.id);
    await settled();
    expect(first.became).toBe("found");
    client.resumeJob.mockResolvedValue({ ...job, at: 3 });
    const rest = jobs.resume(job.id);
    await settled();
    expect(jobs.all.get(job.id)?.state).toBe("running");
    jobs.hear({ ...job, at: 4, state: "done" });
    expect(await rest).toBe("found");
  });

  it("stays paused where the answer to the pause comes after the word of it", async () => {
    const first = asked({});
    await settled();
    client.cancelJob.mockImplementation(async () => {
      jobs.hear({ ...job, at: 3, state: "paused" });
      return { ...job, at: 2 };
    });
    await jobs.cancel(job.id);
    await settled();
    expect(first.became).toBe("found");
    expect(jobs.all.get(job.id)?.state).toBe("paused");
  });

  it("goes on though the word of its pause comes after the answer to 'go on'", async () => {
    jobs.hear({ ...job, at: 2, state: "paused" });
    client.resumeJob.mockResolvedValue({ ...job, at: 4 });
    let ended = false;
    void jobs.resume(job.id).then(() => (ended = true));
    await settled();
    jobs.hear({ ...job, at: 3, state: "paused" });
    await settled();
    expect([ended, jobs.all.get(job.id)?.state]).toEqual([false, "running"]);
  });
});
