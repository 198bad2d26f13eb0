type Task = (...args: never[]) => unknown;

let wrap: <F extends Task>(task: F) => F = (task) => task;

/** Lets the runtime bind tasks to the call that scheduled them. */
export function setTaskWrapper(wrapper: <F extends Task>(task: F) => F): void {
  wrap = wrapper;
}

/** The task, bound to the call from the host that is being answered now. */
export function bindTask<F extends Task>(task: F): F {
  return wrap(task);
}
