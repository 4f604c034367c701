/**
 * Waiting that a signal cuts short.
 *
 * @module
 */

/** Settles as `work` does, or rejects with the signal's reason when that comes first. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    const fail = (): void => reject(signal.reason as Error)
    stop = fail
    if (signal.aborted) fail()
    else signal.addEventListener('abort', fail)
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop as () => void)
    // Whose waiting was cut short does not come back for its failure.
    work.catch(() => {})
  }
}

/** Settles after `delayMs`. @throws the signal's reason when it is aborted before */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    await abortable(
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, delayMs)
      }),
      signal,
    )
  } finally {
    clearTimeout(timer)
  }
}
