/** Host calls that only declare what the plugin has; a closed isolate takes note of them and does nothing. */
export const REGISTERING: ReadonlySet<string> = new Set([
  'http.route',
  'ws.channel',
  'events.subscribe',
  'services.provide',
  'storage.collection',
  'jobs.define',
  'schedule.cron',
]);
