/**
 * `stopcopy/node`: files, Node streams and WebSockets as transports.
 *
 * @module
 */

export { type FileSink, fileSink } from './file-sink.ts'
export { type FileSource, fileSource, READ_AHEAD_BYTES } from './file-source.ts'
export { nodeReadable } from './node-readable.ts'
export { nodeWritable } from './node-writable.ts'
export { createWorker, type WorkerOptions } from './create-worker.ts'
export { listenWebSocket, type ListenWebSocketOptions, type WebSocketListener } from './listen-web-socket.ts'
export { connectWebSocket, type ConnectWebSocketOptions, type WebSocketConnection } from './web-socket.ts'
