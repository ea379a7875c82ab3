/** Whether the space bar is held down, which turns any tool into the hand. */

class Held {
  space = $state(false);
}

export const held = new Held();
