/** The socket on which the server says what happens. It comes back by itself when the server does. */

import type { Message } from "./api";

export type LiveState = "connecting" | "open" | "lost" | "stranger";

/** Whether the server answers, and knows this browser: a socket that is refused does not say why. */
export type Standing = "there" | "gone" | "stranger";

export interface Live {
  close(): void;
}

/** Waits between two tries, in milliseconds: the last one repeats. */
const WAITS = [250, 500, 1000, 2000, 4000];

export function live(
  hear: (message: Message) => void,
  tell: (state: LiveState, again: boolean) => void,
  standing: () => Promise<Standing>,
): Live {
  let socket: WebSocket | null = null;
  let tries = 0;
  let opened = false;
  let closed = false;
  let waiting: ReturnType<typeof setTimeout> | undefined;

  function connect(): void {
    const address = new URL("api/live", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.hash = "";
    socket = new WebSocket(address);
    socket.onopen = () => {
      tries = 0;
      // After an absence, what was missed is to be asked for.
      tell("open", opened);
      opened = true;
    };
    socket.onmessage = (event) => hear(JSON.parse(String(event.data)) as Message);
    socket.onclose = () => {
      if (closed) return;
      tell("lost", opened);
      wait();
    };
  }

  function wait(): void {
    waiting = setTimeout(again, WAITS[Math.min(tries++, WAITS.length - 1)]);
  }

  async function again(): Promise<void> {
    waiting = undefined;
    const found = await standing();
    if (closed) return;
    if (found === "there") return connect();
    tell(found === "stranger" ? "stranger" : "lost", opened);
    wait();
  }

  /** Whoever comes back to the tab need not wait: browsers slow the clocks of tabs that are not seen. */
  function seen(): void {
    if (document.visibilityState !== "visible" || waiting === undefined) return;
    clearTimeout(waiting);
    void again();
  }

  tell("connecting", false);
  connect();
  document.addEventListener("visibilitychange", seen);
  return {
    close() {
      closed = true;
      clearTimeout(waiting);
      document.removeEventListener("visibilitychange", seen);
      socket?.close();
    },
  };
}
