/**
 * Adapters to browsers: workers, and byte transports over what carries messages there.
 *
 * @module
 */

export {
  type BroadcastChannelLike,
  broadcastChannelDuplex,
  type BroadcastChannelOptions,
} from './broadcast-channel.ts'
export type { MessageDuplexOptions } from '../transport/index.ts'
export { acceptBroadcast, type BroadcastRendezvousOptions, connectBroadcast } from './broadcast-rendezvous.ts'
export { createWorker, type WorkerOptions } from './create-worker.ts'
export type { ChannelEvent, ChannelTarget } from './event-listeners.ts'
export { messagePortDuplex, type MessagePortLike } from './message-port.ts'
export { rtcDataChannelDuplex, type RtcDataChannelLike } from './rtc-data-channel.ts'
export { webSocketDuplex, type WebSocketDuplexOptions, type WebSocketLike } from './web-socket.ts'
