/**
 * The one way in which a caller's buffer can be bad memory: its ArrayBuffer was transferred away.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/**
 * Tells an empty buffer, which is fine, from a detached one, whose length is 0 as well: taken for empty,
 * a read into it would look like the end of the stream and a write of it would lose its bytes.
 *
 * @param bytes - of length 0
 * @throws {@link VfioError} EFAULT when the buffer is detached
 */
export function checkAttached(bytes: Uint8Array, syscall: string): void {
  try {
    // `ArrayBuffer.detached` is younger than Node 20; making a view fails everywhere.
    void new Uint8Array(bytes.buffer)
  } catch (cause) {
    throw new VfioError(
      'EFAULT',
      `Cannot ${syscall}: the buffer was transferred away, pass one that is here`,
      {
        syscall,
        cause,
      },
    )
  }
}
