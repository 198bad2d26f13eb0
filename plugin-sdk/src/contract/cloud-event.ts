/** A CloudEvents 1.0 envelope. `type` is the topic, for example `plugin.state.changed`. */
export interface CloudEvent<T = unknown> {
  specversion: '1.0';
  id: string;
  source: string;
  type: string;
  /** RFC 3339. */
  time: string;
  datacontenttype: 'application/json';
  data: T;
  /** W3C trace context, so that a listener's work joins the trace of what caused it. */
  traceparent?: string;
  /** The organisation in whose name it was published; absent for events of the installation itself. */
  organisation?: string;
  /** The node that published it, when it was another one. */
  node?: string;
}
