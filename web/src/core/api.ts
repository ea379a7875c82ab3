/** What the server says and takes, in types. `src/seglens/app` is the other side of it. */

/** A failure in words: what was wrong, what was expected, what to do. */
export interface Fault {
  kind: string;
  message: string;
}

/** A field of a method, from which its form is made. */
export interface Parameter {
  name: string;
  kind: "bool" | "int" | "float" | "str" | "choice" | "text";
  default: string | number | boolean | null;
  optional: boolean;
  choices: string[];
  bounds: { ge: number | null; le: number | null; above: number | null } | null;
  help: string;
}

/** A method: `summary` is its formula; `cost` is in forward passes where it is known beforehand. */
export interface MethodCard {
  name: string;
  summary: string;
  doc: string;
  reads_layer: boolean;
  takes_target: boolean;
  /** Whether it explains a region by what lies outside it. */
  needs_context: boolean;
  iterative: boolean;
  fast: boolean;
  parameters: Parameter[];
  problem: string | null;
}

export type Rgb = [number, number, number];

export interface ClassInfo {
  name: string;
  colour: Rgb;
}

/** A network that is open. `id` changes with the file and with its description. */
export interface NetworkInfo {
  id: string;
  name: string;
  source: string;
  type: string;
  task: "segment" | "classify" | "encode";
  parameters: number;
  classes: ClassInfo[];
  exclusive: boolean;
  default_layer: string | null;
  description: Description;
  description_path: string | null;
  latent: LatentInfo | null;
  notes: string[];
}

/** The units of an autoencoder. `conditions`: attributes that it takes besides the image. */
export interface LatentInfo {
  units: number;
  produces: "image" | "masks";
  conditions: string[];
  size: [number, number];
}

/** What stands in the TOML beside the weights. */
export interface Description {
  name?: string;
  task?: string;
  classes?: string[];
  colours?: Rgb[];
  emits?: "logits" | "probabilities";
  link?: "softmax" | "sigmoid" | "none";
  output?: string | number;
  default_layer?: string;
  input?: Record<string, unknown>;
}

export interface ImageInfo {
  id: string;
  name: string;
  set: string;
  width: number;
  height: number;
  truth: boolean;
  /** Mean IoU and accuracy once it has been evaluated with the network at hand. */
  scores?: { mean_iou: number | null; pixel_accuracy: number | null };
  problem?: string;
  /** Why the labels that were found for it are not its truth. */
  unfit?: string;
}

export interface ImageSet {
  id: string;
  name: string;
  origin: "built in" | "folder" | "uploads";
  size: number;
}

/** A folder that the server was given to look into. */
export interface Root {
  id: string;
  name: string;
}

export interface Entry {
  path: string;
  name: string;
  kind: "folder" | "network" | "image" | "other";
  bytes: number;
}

export interface Session {
  version: string;
  hardware: { device: string; cores: number; memory: number | null };
  builtin: { name: string; task: string; summary: string }[];
  networks: NetworkInfo[];
  sets: ImageSet[];
  roots: Root[];
  methods: MethodCard[];
  /** 256 colours each, of the maps that figures use. */
  colours: { sequential: Rgb[]; diverging: Rgb[] };
  jobs: Job[];
  /** Ids of what the command line named, to begin with; the network is among `networks`. */
  start: { network: string | null; image: string | null };
  limits: { upload: number; pixels: number };
}

export type JobState = "waiting" | "running" | "paused" | "done" | "failed" | "cancelled";

/**
 * Every request that changes something says which tab it comes from (header X-Seglens-Tab). A job that tabs ask for
 * together ends when none that is open waits for it; the one that cancels hears 'cancelled' at once, or of a search
 * 'paused', and takes it up again by asking again or going on.
 */
export interface Job {
  id: string;
  /** When it was as it is said here, in seconds of the server's clock: words of one job may arrive in another order. */
  at: number;
  task: string;
  key: string;
  title: string;
  state: JobState;
  what: string;
  done: number;
  total: number;
  seconds: number;
  /** Rises with each preview; 0 where there is none. */
  preview: number;
  resumable: boolean;
  error: Fault | null;
}

/** A plane of numbers: value = stored · scale. float16 NaN is undefined. */
export interface ArrayInfo {
  name: string;
  dtype: "float16" | "float32" | "uint8" | "uint16" | "int32";
  shape: number[];
  scale: number;
}

/** What a task found, kept on disk under `key`: the same question comes back at once. */
export interface Result<Meta = unknown> {
  key: string;
  task: string;
  meta: Meta;
  arrays: Record<string, ArrayInfo>;
  /** Suffixes that `/api/results/KEY/file.SUFFIX` gives. */
  formats: string[];
  /** The line of Python that gives the same. */
  python: string;
}

/** What can be asked for: arguments and what is found. `network` and `image` are ids, as are `set` and `key`. */
export interface Tasks {
  /** source: a built-in name; ROOT:PATH with a root's id and a path below it; or what the command line named. */
  open: { args: { source: string }; meta: NetworkInfo };
  describe: { args: { network: string; description: Description; save: boolean }; meta: NetworkInfo };
  receive: { args: { network: string; image: string; description?: Description }; meta: Received };
  graph: { args: { network: string; image?: string }; meta: GraphData };
  layer: { args: { network: string; image: string; layer: string }; meta: LayerData };
  segment: { args: { network: string; image: string }; meta: Segmented };
  explain: { args: Question; meta: Explained };
  verify: { args: Removal; meta: Verified };
  mistakes: { args: { network: string; image: string }; meta: Mistakes };
  evaluate: { args: { network: string; set: string }; meta: Evaluated };
  units: { args: { network: string; set?: string }; meta: Units };
  encode: { args: { network: string; image: string; condition?: Record<string, number> }; meta: Encoded };
  /** image: beside the code, for a decoder that is told more of one. */
  decode: { args: { network: string; image?: string; z: number[]; condition?: Record<string, number> }; meta: Decoded };
  attend: { args: { network: string; image: string; units: number[]; condition?: Record<string, number> }; meta: Attended };
  between: { args: { network: string; a: string; b: string; steps: number; path: "linear" | "spherical" }; meta: Between };
  report: { args: { title: string; items: { key: string; caption: string }[] }; meta: { title: string } };
}

export type TaskName = keyof Tasks;

/** A request: whose score, where. `region` is text of the regions' vocabulary, in which mask('ID') is a drawn one. */
export interface TargetText {
  channel: string | number | null;
  against?: string | number | null;
  region?: string | null;
  of?: "logits" | "probabilities" | "log-probabilities" | null;
  reduce?: "mean" | "sum";
}

export interface Question {
  network: string;
  image: string;
  method: string;
  parameters: Record<string, string | number | boolean | null>;
  target: TargetText | null;
}

/** Arrays: map [H W] float16, region [H W] uint8 where there is one; mask of the cells for mask methods. */
export interface Explained {
  method: string;
  target: string;
  layer: string | null;
  score: number | null;
  of: string;
  unit: string;
  signed: boolean;
  minimum: number | null;
  maximum: number | null;
  /** Greatest finite |value|, where the colours end. */
  greatest: number | null;
  zero: boolean;
  notes: string[];
  numbers: Record<string, number | string | Record<string, number | null> | null>;
  curves: Record<string, (number | null)[]>;
  parameters: Record<string, unknown>;
  provenance: Record<string, string>;
  seconds: number;
  /** Masks tried before it was stopped; null where it ran to its end. */
  stopped: number | null;
}

/** Arrays: labels [H W] uint8 or uint16 (exclusive) or masks [K H W] uint8; confidence [H W] or [K H W] float16. */
export interface Segmented {
  classes: { index: number; name: string; colour: Rgb; pixels: number | null; share: number | null; confidence: number | null; instances: number | null; logit: number | null }[];
  width: number;
  height: number;
  notes: string[];
}

/** `what`: 'mask' removes the drawn region, 'salient' the greatest values of an explanation outside its region. */
export interface Removal {
  network: string;
  image: string;
  target: TargetText;
  what: "mask" | "salient";
  /** Id of the mask to remove. */
  mask?: string;
  /** Key of the explanation whose salient context goes. */
  explanation?: string;
  share?: number;
  fill?: string;
}

/** Arrays: removed [H W] uint8, picture [H W 3] uint8 (what the network then sees), labels before and after. */
export interface Verified {
  target: string;
  /** What `probability` is, such as p(rider) − p(person). */
  quantity: string;
  fill: string;
  /** Pixels taken away: of the picture, and of it as the network sees it, where they are replaced and counted in notes. */
  removed: number;
  seen: number;
  before: Answer;
  after: Answer;
  bare: Answer | null;
  p_value: number | null;
  controls: { n: number; probabilities: number[] } | null;
  /** Classes with their pixels in the whole picture and in the region, and how likely they are there on average. */
  change: {
    name: string;
    colour: Rgb;
    before: number;
    after: number;
    region_before: number;
    region_after: number;
    likely_before: number;
    likely_after: number;
  }[];
  notes: string[];
}

export interface Answer {
  score: number | null;
  probability: number | null;
  label: string | null;
  iou: number | null;
}

/** Arrays: status [H W] uint8: 0 right, 1 wrong, 2 ignored; truth [H W] uint8 or uint16. */
export interface Mistakes {
  wrong: number;
  pixels: number;
  regions: { rank: number; truth: string; predicted: string; pixels: number; share: number; at: number[]; box: number[]; region: string }[];
}

export interface Evaluated {
  overall: Record<string, number | null>;
  classes: { name: string; pixels: number; predicted: number; iou: number | null; dice: number | null; precision: number | null; recall: number | null; boundary_f: number | null }[];
  /** Truth by prediction, in pixels; null for independent labels. */
  confusion: number[][] | null;
  /**
   * For each cell that has any, images, the most pixels first: cells["2:5"] is truth 2 taken for 5. The first number is
   * the pixels that are scored, on the picture's own grid; the second those of the region that is asked about, on the
   * network's.
   */
  cells: Record<string, [string, number, number][]>;
  /** How many images each cell has; of many, `cells` holds those with the most pixels. */
  behind: Record<string, number>;
  images: { id: string; name: string; mean_iou: number | null; pixel_accuracy: number | null; wrong: number }[];
  failures: { image: string; error: string }[];
}

/** Arrays: input [H W 3] uint8: what the network receives, turned back into a picture. */
export interface Received {
  shape: number[];
  channels: { minimum: number; maximum: number; mean: number; deviation: number }[];
  output: number[] | null;
  notes: string[];
  problem: Fault | null;
}

export interface GraphNode {
  id: string;
  kind: string;
  type: string;
  path: string;
  group: string | null;
  call: number;
  calls: number;
  parameters: number;
  shape: number[] | null;
  field: (number | null)[] | null;
  stride: (number | null)[] | null;
  detail: string;
  contains: number;
  explained: boolean;
}

export interface GraphEdge {
  source: string;
  target: string;
  position: number;
  shapes: number[][];
  count: number;
}

export interface GraphGroup {
  id: string;
  type: string;
  path: string;
  parent: string | null;
  depth: number;
  call: number;
  calls: number;
  parameters: number;
  shape: number[] | null;
  field: (number | null)[] | null;
  stride: (number | null)[] | null;
}

export interface GraphData {
  network: string;
  type: string;
  parameters: number;
  nodes: GraphNode[];
  edges: GraphEdge[];
  groups: GraphGroup[];
  idle: string[];
}

/** Arrays: maps [n h w] float16, the channels that are greatest in size on this image. */
export interface LayerData {
  layer: string;
  total: number;
  silent: number;
  channels: { index: number; minimum: number; maximum: number; mean: number }[];
}

export interface Units {
  units: { unit: number; kl: number; active: boolean; sensitivity: number | null; deviation: number }[];
  /** Over how many images. */
  images: number;
  /** The built-in set that was taken because the open one has fewer than `enough` images; null for the open one. */
  instead: string | null;
  enough: number;
}

/** Arrays: picture [H W 3] uint8 as received, reconstruction [H W 3] uint8, labels where it makes masks. */
export interface Encoded {
  mu: number[];
  sigma: number[];
  kl: number[];
  condition: Record<string, number>;
}

/** Arrays: picture [H W 3] uint8; labels [H W] uint8 where it makes masks. */
export interface Decoded {
  seconds: number;
}

/** Arrays: maps [n H W] float16, one a unit. */
export interface Attended {
  units: { unit: number; score: number; greatest: number }[];
  layer: string | null;
}

/** Arrays: pictures [n H W 3] uint8. */
export interface Between {
  z: number[][];
  shares: number[];
}

/** Messages of the socket. */
export type Message =
  /** The first: by this id the tab says that the socket is its own (PUT /api/live/ID). */
  | { type: "socket"; id: string }
  | { type: "job"; job: Job }
  | { type: "network"; network: NetworkInfo }
  | { type: "sets"; sets: ImageSet[] }
  | { type: "worker"; lane: string; message: string };
