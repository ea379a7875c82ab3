/** Resolves when what is known now has been drawn; soon anyway in a tab that nobody sees, where nothing is drawn. */
export function drawn(): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, 100);
    requestAnimationFrame(() => {
      clearTimeout(late);
      // Other callbacks of this frame, and its painting, come before a task of its own.
      setTimeout(resolve);
    });
  });
}
