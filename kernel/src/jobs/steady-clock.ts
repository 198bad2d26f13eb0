/** For the library's own timers: what waits for a time of the system clock would wait for as long as that is set back. */
export const steadyClock = {
  now: () => performance.timeOrigin + performance.now(),
  setTimeout: (work: () => void, ms: number) => setTimeout(work, ms),
  clearTimeout: (handle: unknown) => clearTimeout(handle as NodeJS.Timeout),
  setInterval: (work: () => void, ms: number) => setInterval(work, ms),
  clearInterval: (handle: unknown) => clearInterval(handle as NodeJS.Timeout),
};
