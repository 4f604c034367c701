/**
 * Descriptors without a system: files and events of one process, and whether all were closed.
 *
 * @module
 */

import { VfioError } from '../../src/errors.ts'
import type { FdPassing, MappedMemory } from '../../src/vfio-user/index.ts'

/** Files of memory and eventfds by number. */
export class FakeDescriptors implements FdPassing {
  readonly open = new Map<number, Uint8Array | { count: bigint }>()
  /** Mappings that were not unmapped. */
  mappings = 0
  #arrived: number[] = []
  #next = 100

  /** Descriptors that come with the bytes which are read next. */
  arrive(...fds: number[]): void {
    this.#arrived.push(...fds)
  }

  take(): number[] {
    return this.#arrived.splice(0)
  }

  write(): void {
    throw new VfioError('EOPNOTSUPP', 'Cannot send descriptors: this test has no use for it')
  }

  isEvent(fd: number): boolean {
    const found = this.open.get(fd)
    return found !== undefined && !(found instanceof Uint8Array)
  }

  watchEvent(): () => void {
    throw new VfioError('EOPNOTSUPP', 'Cannot watch an eventfd: this test has no use for it')
  }

  signal(fd: number): void {
    this.#event(fd).count++
  }

  map(fd: number, offset: bigint, byteLength: number): MappedMemory {
    const file = this.#file(fd)
    if (Number(offset) % 4096 !== 0) throw new VfioError('EINVAL', 'Cannot map: the offset is no whole page')
    const bytes = file.subarray(Number(offset), Number(offset) + byteLength)
    let isMapped = true
    this.mappings++
    return {
      bytes,
      unmap: () => {
        if (isMapped) this.mappings--
        isMapped = false
      },
    }
  }

  readAt(fd: number, position: bigint, dst: Uint8Array): void {
    dst.set(this.#file(fd).subarray(Number(position), Number(position) + dst.length))
  }

  writeAt(fd: number, position: bigint, src: Uint8Array): void {
    this.#file(fd).set(src, Number(position))
  }

  createMemory(byteLength: number): number {
    this.open.set(this.#next, new Uint8Array(byteLength))
    return this.#next++
  }

  createEvent(): number {
    this.open.set(this.#next, { count: 0n })
    return this.#next++
  }

  readEvent(fd: number): bigint {
    const event = this.#event(fd)
    const { count } = event
    event.count = 0n
    return count
  }

  close(fd: number): void {
    if (!this.open.delete(fd)) throw new VfioError('EBADF', `Cannot close ${fd}: it is not open`)
  }

  #file(fd: number): Uint8Array {
    const file = this.open.get(fd)
    if (file instanceof Uint8Array) return file
    throw new VfioError('EBADF', `Cannot use ${fd}: it is no open file`)
  }

  #event(fd: number): { count: bigint } {
    const event = this.open.get(fd)
    if (event !== undefined && !(event instanceof Uint8Array)) return event
    throw new VfioError('EBADF', `Cannot use ${fd}: it is no open event`)
  }
}
