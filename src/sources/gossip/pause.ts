/** A wait that can be cut short. */
export class Pause {
  #wake: () => void = () => undefined;
  #closed = false;

  /** Resolves after `ms`, or when woken; at once after `close`. One wait at a time. */
  async wait(ms: number): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  wake(): void {
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }
}
