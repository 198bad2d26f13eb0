export type { EventSource } from './connection.js';
export { WsGateway } from './gateway.js';
