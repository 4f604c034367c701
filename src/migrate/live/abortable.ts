/**
 * Waiting that a signal cuts short.
 *
 * @module
 */

/** Settles as `work` does, or rejects with the signal's reason when that comes first. */
export async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop)
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
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
