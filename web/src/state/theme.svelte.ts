/** Dark or light: what the system says, until the person chooses. */

type Choice = "system" | "dark" | "light";

const STORED = "seglens.theme";

class Theme {
  choice = $state<Choice>("system");
  /** Rises with each change of colours, so that canvases draw again. */
  version = $state(0);

  start(): void {
    const stored = localStorage.getItem(STORED);
    this.choice = stored === "dark" || stored === "light" ? stored : "system";
    this.#apply();
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.#apply());
  }

  get dark(): boolean {
    return this.choice === "system" ? !matchMedia("(prefers-color-scheme: light)").matches : this.choice === "dark";
  }

  toggle(): void {
    this.choice = this.dark ? "light" : "dark";
    localStorage.setItem(STORED, this.choice);
    this.#apply();
  }

  #apply(): void {
    if (this.choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.choice;
    this.version++;
  }
}

export const theme = new Theme();
