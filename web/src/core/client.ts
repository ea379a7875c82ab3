/** Requests to the server: JSON in, JSON or arrays out, every failure a `ServerFault` in words. */

import type {
  ArrayInfo,
  Entry,
  Fault,
  ImageInfo,
  ImageSet,
  Job,
  Result,
  Session,
  TaskName,
  Tasks,
} from "./api";
import type { Standing } from "./live";

/** What the server refused or could not do. `message` is for the person at the page. */
export class ServerFault extends Error {
  constructor(
    readonly kind: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
    this.name = "ServerFault";
  }
}

const TAB = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** The header without which the server changes nothing: other sites' forms cannot send it; and which tab it is. */
const OWN = { "X-Seglens": "1", "X-Seglens-Tab": TAB };

async function checked(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...init });
  } catch {
    throw new ServerFault("Unreachable", "The server does not answer. Is `seglens app` still running?", 0);
  }
  if (response.ok) return response;
  let fault: Fault = { kind: "HttpError", message: `The server answered ${response.status}.` };
  try {
    const body = (await response.json()) as Partial<Fault>;
    if (body.message) fault = { kind: body.kind ?? fault.kind, message: body.message };
  } catch {
    // The body was no JSON: the status says what there is to say.
  }
  throw new ServerFault(fault.kind, fault.message, response.status);
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  return (await checked(path, init)).json() as Promise<T>;
}

function sent(method: string, body?: unknown): RequestInit {
  return body === undefined
    ? { method, headers: OWN }
    : { method, headers: { ...OWN, "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

/** Whether the server answers, and knows this browser. */
export async function standing(): Promise<Standing> {
  try {
    await checked("api/sets");
    return "there";
  } catch (failed) {
    return failed instanceof ServerFault && failed.status === 401 ? "stranger" : "gone";
  }
}

/** Hands a task in; the result at once where it was found before. */
export function submit<T extends TaskName>(
  task: T,
  args: Tasks[T]["args"],
): Promise<{ job: Job; result: Result<Tasks[T]["meta"]> | null }> {
  return json("api/jobs", sent("POST", { task, args }));
}

/** Says that a socket is this tab's: while it is open, somebody waits for what was asked here. */
export const ownSocket = (id: string) => json<{ open: boolean }>(`api/live/${id}`, sent("PUT"));

export const session = () => json<Session>("api/session");
/** Wants a job to end; it comes back as this tab is to see it, though it may go on for others. */
export const cancelJob = (id: string) => json<Job>(`api/jobs/${id}`, sent("DELETE"));
export const resumeJob = (id: string) => json<Job>(`api/jobs/${id}/resume`, sent("POST"));
export const previewOf = <Meta>(job: string) => json<Result<Meta>>(`api/jobs/${job}/preview`);
export const resultOf = <Meta>(key: string) => json<Result<Meta>>(`api/results/${key}`);
export const files = (root: string, path: string) =>
  json<Entry[]>(`api/files?root=${encodeURIComponent(root)}&path=${encodeURIComponent(path)}`);
export const openSet = (root: string, path: string) => json<ImageSet>("api/sets", sent("POST", { root, path }));
export const imagesOf = (set: string, offset = 0, limit = 500) =>
  json<ImageInfo[]>(`api/sets/${encodeURIComponent(set)}/images?offset=${offset}&limit=${limit}`);

/** Adds an image of the person's own to the set 'uploads'. */
export const upload = (file: File) =>
  json<ImageInfo>(`api/uploads?name=${encodeURIComponent(file.name)}`, { method: "PUT", headers: OWN, body: file });

/** Gives an image its true labels: a picture whose values are class indices, or in the colours of a class table. */
export const uploadTruth = (image: string, file: File) =>
  json<ImageInfo>(`api/images/${encodeURIComponent(image)}/truth`, { method: "PUT", headers: OWN, body: file });

/** Lays a drawn mask on the server, one byte a pixel; regions name it by the id that comes back. */
export async function keepMask(mask: Uint8Array, height: number, width: number): Promise<string> {
  const made = await json<{ id: string }>(`api/masks?height=${height}&width=${width}`, {
    method: "PUT",
    headers: OWN,
    body: mask as Uint8Array<ArrayBuffer>,
  });
  return made.id;
}

export const pictureAddress = (image: string) => `api/images/${encodeURIComponent(image)}/picture`;
export const thumbnailAddress = (image: string) => `api/images/${encodeURIComponent(image)}/thumbnail`;
export const fileAddress = (key: string, suffix: string) => `api/results/${key}/file.${suffix}`;

/** Numbers of an array as they are stored; value = number · scale. float16 comes as its bit patterns. */
export type Stored = Uint8Array | Uint16Array | Int32Array | Float32Array;

export async function arrayOf(place: { key: string } | { job: string }, info: ArrayInfo): Promise<Stored> {
  const path =
    "key" in place ? `api/results/${place.key}/arrays/${info.name}` : `api/jobs/${place.job}/preview/${info.name}`;
  // A result never changes, so the browser may keep it.
  const response = await checked(path, "key" in place ? { cache: "default" } : undefined);
  const bytes = await response.arrayBuffer();
  const made = view(bytes, info.dtype);
  const expected = info.shape.reduce((a, b) => a * b, 1);
  if (made.length !== expected) {
    throw new ServerFault("Damaged", `${info.name} came with ${made.length} of ${expected} numbers.`, 0);
  }
  return made;
}

/** True labels of an image, [height, width]. `network`: by whose class table a truth in colours is read. */
export async function truthOf(
  image: string,
  network: string,
): Promise<{ labels: Uint8Array | Uint16Array; shape: number[] }> {
  const response = await checked(`api/images/${encodeURIComponent(image)}/truth?network=${encodeURIComponent(network)}`);
  const shape = (response.headers.get("X-Shape") ?? "").split(",").map(Number);
  const bytes = await response.arrayBuffer();
  const labels = response.headers.get("X-Dtype") === "uint16" ? new Uint16Array(bytes) : new Uint8Array(bytes);
  return { labels, shape };
}

function view(bytes: ArrayBuffer, dtype: ArrayInfo["dtype"]): Stored {
  switch (dtype) {
    case "float16":
    case "uint16":
      return new Uint16Array(bytes);
    case "float32":
      return new Float32Array(bytes);
    case "int32":
      return new Int32Array(bytes);
    default:
      return new Uint8Array(bytes);
  }
}
