const FRAME_MS = 100;
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const CLEAR = '\r\x1b[K';

/** Runs a step that may take long, and shows on a terminal what it is and how long it has run. */
export async function showProgress<T>(text: string, task: () => Promise<T>): Promise<T> {
  const { stderr } = process;
  const start = performance.now();
  const seconds = () => Math.floor((performance.now() - start) / 1000);
  let frame = 0;
  const draw = () => stderr.write(`${CLEAR}${FRAMES[frame++ % FRAMES.length]!} ${text} ${seconds()} s`);
  const timer = setInterval(draw, FRAME_MS);
  draw();
  try {
    const result = await task();
    stderr.write(`${CLEAR}✓ ${text}\n`);
    return result;
  } catch (error) {
    stderr.write(`${CLEAR}✗ ${text}\n`);
    throw error;
  } finally {
    clearInterval(timer);
  }
}
