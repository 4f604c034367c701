/**
 * The page's end of a machine's Worker.
 *
 * @module
 */

import type { FromWorker, Notice, Request, Results } from '../worker/messages.ts'

/** What a Worker answered instead of a result. */
export class MachineFailure extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

interface Waiting {
  readonly resolve: (result: never) => void
  readonly reject: (error: Error) => void
}

/** Asks the Worker, which is started with it. */
export class MachineClient {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #asked = 0

  constructor(onNotice: (notice: Notice) => void) {
    this.#worker = new Worker(new URL('../worker/machine-worker.ts', import.meta.url), { type: 'module' })
    this.#worker.addEventListener('message', ({ data }: MessageEvent<FromWorker>) => {
      if (data.id === undefined) return onNotice(data.notice)
      const waiting = this.#waiting.get(data.id)
      this.#waiting.delete(data.id)
      if ('result' in data) waiting?.resolve(data.result as never)
      else waiting?.reject(new MachineFailure(data.failure.code, data.failure.message))
    })
    this.#worker.addEventListener('error', ({ message }) => {
      for (const { reject } of this.#waiting.values())
        reject(new MachineFailure('EIO', `The Worker ended: ${message}`))
      this.#waiting.clear()
    })
  }

  /** @throws {@link MachineFailure} */
  ask<R extends Request>(request: R, transfer: Transferable[] = []): Promise<Results[R['ask']]> {
    const id = ++this.#asked
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, request }, transfer)
    })
  }
}
