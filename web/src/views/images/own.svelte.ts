/** Images and truth that the person brings along: each file fares for itself, and its fate is said. */

import type { ImageInfo } from "../../core/api";
import { paired } from "../../core/arrange";
import { openSet, session as askSession, upload, uploadTruth } from "../../core/client";
import { notices } from "../../state/notices.svelte";
import { session } from "../../state/session.svelte";
import { evaluations } from "../../state/evaluations.svelte";

export interface Fate {
  file: string;
  /** Empty while it is under way. */
  words: string;
  good: boolean;
}

/** Without the name of the file, which stands before it. */
function saying(failed: unknown, file: string): string {
  const text = failed instanceof Error ? failed.message : String(failed);
  return text.startsWith(`${file} `) ? text.slice(file.length + 1) : text;
}

class Own {
  /** Of the files that were brought last. */
  fates = $state<Fate[]>([]);
  busy = $state(false);

  /** Lays images into the set 'uploads', one after the other, and opens it. */
  async images(files: readonly File[]): Promise<void> {
    const limit = session.info?.limits.upload ?? Infinity;
    let last: ImageInfo | null = null;
    const take = async (file: File): Promise<string> => {
      if (file.size > limit) {
        throw new Error(`has ${megabytes(file.size)}; at most ${megabytes(limit)} can be uploaded. Scale it down, or open its folder.`);
      }
      last = await upload(file);
      return "uploaded";
    };
    await this.#each(files, take, async () => {
      if (last) await show((last as ImageInfo).set, (last as ImageInfo).id);
    });
  }

  /** Files that were let fall on the page. Of a folder a browser gives a file without content. */
  async dropped(carried: DataTransfer | null): Promise<void> {
    const items = [...(carried?.items ?? [])].filter((item) => item.kind === "file");
    const folder = items.map((item) => item.webkitGetAsEntry()).find((entry) => entry?.isDirectory);
    if (folder) notices.fail(`${folder.name} is a folder. Drop the files in it, or use 'Open a folder …'.`);
    else if (this.busy) notices.fail("The files before these are still being taken. Drop these when that is done.");
    else if (items.length) await this.images([...(carried?.files ?? [])]);
  }

  /** True labels for one image. */
  async truth(image: ImageInfo, file: File): Promise<void> {
    await this.#each([file], async () => {
      took(await uploadTruth(image.id, file));
      return `is now the truth of ${image.name}`;
    });
  }

  /** True labels for the images whose names they have, whatever the suffix. */
  async truths(files: readonly File[]): Promise<void> {
    const { pairs, lost } = paired(files, session.images);
    const partner = new Map(pairs.map(([image, file]) => [file, image]));
    await this.#each(files, async (file) => {
      const image = partner.get(file);
      if (!image || lost.includes(file)) throw new Error("has the name of no image of this set, or of several");
      took(await uploadTruth(image.id, file));
      return `is now the truth of ${image.name}`;
    });
  }

  async folder(root: string, path: string): Promise<boolean> {
    try {
      const set = await openSet(root, path);
      if (!session.sets.some((s) => s.id === set.id)) session.sets = [...session.sets, set];
      await session.openSet(set.id);
      return true;
    } catch (failed) {
      notices.fail(failed);
      return false;
    }
  }

  forget(): void {
    this.fates = [];
  }

  /** Files are said to be taken once what follows from them is on the page as well. */
  async #each(files: readonly File[], what: (file: File) => Promise<string>, after?: () => Promise<void>): Promise<void> {
    this.busy = true;
    this.fates = files.map((file) => ({ file: file.name, words: "", good: true }));
    for (const [i, file] of files.entries()) {
      let fate: Fate;
      try {
        fate = { file: file.name, words: await what(file), good: true };
      } catch (failed) {
        fate = { file: file.name, words: saying(failed, file.name), good: false };
      }
      this.fates = this.fates.map((old, k) => (k === i ? fate : old));
    }
    try {
      await after?.();
    } catch (failed) {
      notices.fail(failed);
    } finally {
      this.busy = false;
    }
  }
}

/** An image has truth now: scores that were found without it are no longer those of the set. */
function took(image: ImageInfo): void {
  session.update(image);
  evaluations.forget(image.set);
}

async function show(set: string, image: string): Promise<void> {
  if (!session.sets.some((s) => s.id === set)) session.sets = (await askSession()).sets;
  await session.openSet(set, image);
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

export const own = new Own();
