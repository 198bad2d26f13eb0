/** Undefined when it fails: the plugin's call goes on, whatever the recording makes of it. */
export function attempt<T>(task: () => T): T | undefined {
  try {
    return task();
  } catch {
    return undefined;
  }
}
