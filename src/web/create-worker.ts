/**
 * Engine workers on the Web's `Worker`.
 *
 * @module
 */

import { EngineWorker, type EngineWorkerOptions, type WorkerThread } from '../engine/index.ts'

/** Options of {@link createWorker}. */
export interface WorkerOptions extends EngineWorkerOptions {
  /** The worker's own module, where a bundler does not find it: `dist/web/engine-worker.js`. */
  script?: URL | string
}

/**
 * Starts a Web Worker that checksums and copies for engines, for the `worker` option of `save` and
 * `restore`. Shared engines need a page that is cross-origin isolated; without, the bytes go to the worker
 * and back in transferred buffers.
 *
 * @throws {@link VfioError} EIO when the worker does not start
 * @example
 * ```ts
 * import { createWorker } from 'stopcopy/web'
 * const worker = await createWorker()
 * await worker.close()
 * ```
 */
export function createWorker(options: WorkerOptions = {}): Promise<EngineWorker> {
  const script = options.script ?? sourceScript()
  const worker =
    script === undefined
      ? // Bundlers know exactly this form.
        new Worker(new URL('./engine-worker.js', import.meta.url), { type: 'module' })
      : new Worker(script, { type: 'module' })
  return EngineWorker.start(new WebThread(worker), options)
}

/** Where Deno and Bun run the sources as they are. */
function sourceScript(): string | undefined {
  const { url } = import.meta
  return url.endsWith('/create-worker.ts') ? url.replace(/create(-worker\.ts)$/, 'engine$1') : undefined
}

class WebThread implements WorkerThread {
  readonly #worker: Worker

  constructor(worker: Worker) {
    this.#worker = worker
  }

  send(message: unknown, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer)
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#worker.addEventListener('message', ({ data }) => listener(data))
  }

  onExit(listener: (cause: unknown) => void): void {
    this.#worker.addEventListener('error', (event) => {
      // An error of a job is answered, so this is the script itself: it will serve nothing.
      this.#worker.terminate()
      listener(event)
    })
  }

  terminate(): void {
    this.#worker.terminate()
  }
}
