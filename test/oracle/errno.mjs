/** Results of the guest's system calls as stopcopy's errors. @module */
import { Errno, VfioError } from 'stopcopy'

/** `result`, unless it is a negative errno: then that is thrown. */
export function checked(result, syscall, more = {}) {
  if (result >= 0) return result
  const code = Object.keys(Errno).find((name) => Errno[name] === -result)
  if (code === undefined) throw new Error(`Cannot name errno ${result} of ${syscall}`)
  throw new VfioError(code, `Cannot ${syscall}: the guest's kernel answers ${code}, see its driver`, {
    syscall,
    ...more,
  })
}
