/**
 * `stopcopy/node`: files, Node streams, sockets and WebSockets as transports, and threads.
 *
 * @module
 */

export type { MessageDuplexOptions } from '../transport/index.ts'
export { type FileSink, fileSink } from './file-sink.ts'
export { type FileSource, fileSource, READ_AHEAD_BYTES } from './file-source.ts'
export { nodeReadable } from './node-readable.ts'
export { nodeWritable } from './node-writable.ts'
export { createWorker, type WorkerOptions } from './create-worker.ts'
export { type Connection, type ConnectionOptions, type Listener, RECEIVE_BYTES } from './connection.ts'
export { connect, type ConnectOptions } from './connect.ts'
export { listen, type ListenOptions } from './listen.ts'
export { listenWebSocket, type ListenWebSocketOptions } from './listen-web-socket.ts'
export { type Pem, type TlsOptions } from './tls-options.ts'
export { connectWebSocket, type ConnectWebSocketOptions } from './web-socket.ts'
export { connectFds, type FdConnectOptions } from './connect-fds.ts'
export { type FdListenOptions, listenFds } from './listen-fds.ts'
export { type FdConnection, type FdConnectionOptions } from './fd-connection.ts'
export { fdFiles } from './fd-files.ts'
export { fdPassingObstacle } from './libc.ts'
export type { FdFiles, FdPassing, MapAccess, MappedMemory } from '../vfio-user/index.ts'
