/**
 * A process, or a thread, that does one end of a transfer and is told what by calls.
 *
 * @module
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

/** Answers calls until `end`. A peer whose starter ends without it ends, too. */
export class Peer {
  #send
  #stop
  #ended
  #calls = new Map()
  #next = 0
  #failure

  /** @param {string} script a file beside this one, which calls `serveCalls` */
  static process(script) {
    const child = fork(fileURLToPath(new URL(script, import.meta.url)), [], { execArgv: [] })
    return new Peer(script, child, {
      send: (message) => child.send(message),
      // By the handle: never another process that has the same name.
      stop: () => child.kill('SIGKILL'),
    })
  }

  /** The same script as a thread of this process. */
  static thread(script) {
    const worker = new Worker(new URL(script, import.meta.url))
    return new Peer(script, worker, {
      send: (message, transfer) => worker.postMessage(message, transfer),
      stop: () => void worker.terminate(),
    })
  }

  constructor(name, emitter, { send, stop }) {
    this.#send = send
    this.#stop = stop
    emitter.on('message', (message) => this.#answer(message))
    this.#ended = new Promise((resolve) => {
      emitter.on('error', (error) => {
        this.#fail(error)
        resolve()
      })
      emitter.on('exit', (code, signal) => {
        this.#fail(new Error(`Cannot ask ${name}: it ended with ${signal ?? code}, see above`))
        resolve()
      })
    })
  }

  /**
   * Calls a function of the peer.
   *
   * @param {string} name
   * @param {unknown} [argument]
   * @param {readonly import('node:worker_threads').Transferable[]} [transfer] threads only
   * @returns {Promise<any>} what it returned
   */
  call(name, argument, transfer) {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { name, resolve, reject })
      this.#send({ id, name, argument }, transfer)
    })
  }

  /** Ends it, whatever it does; settles when it is gone. */
  async end() {
    this.#stop()
    await this.#ended
  }

  #answer({ id, result, failure }) {
    const { name, resolve, reject } = this.#calls.get(id)
    this.#calls.delete(id)
    if (failure === undefined) resolve(result)
    else reject(new Error(`${name} failed in another process: ${failure}`))
  }

  #fail(error) {
    this.#failure ??= error
    for (const { reject } of this.#calls.values()) reject(this.#failure)
    this.#calls.clear()
  }
}
