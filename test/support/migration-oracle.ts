/**
 * What facts A.3 and a running Linux 6.12.117 say about transitions: data only, typed in independently of
 * `src/fsm`, so that the derived machine can be compared with it.
 *
 * @module
 */

export type FlagSet = 1 | 3 | 5 | 7

export const FLAG_SETS: readonly FlagSet[] = [1, 3, 5, 7]

/** Facts A.3, packed: group = current state, position = target state, digit = next state, 0 = EINVAL. */
export const PACKED_NEXT_STATES: Record<FlagSet, string> = {
  1: '00000000 01234000 01211000 01131000 01114000 00000000 00000000 00000000',
  3: '00000000 01534500 05255500 01131100 01114100 01211500 00000000 00000000',
  5: '00000000 01234020 01211060 01131000 01114010 00000000 02232060 00000000',
  7: '00000000 01534555 05255565 01131100 01114111 01211527 02272267 05535567',
}

/** Facts A.3: the arcs of each set, in the sheet's short names. */
export const ARC_LISTS: Record<FlagSet, string> = {
  1: 'RES>S S>RES S>SC SC>S R>S S>R',
  3: 'RES>S S>RES S>SC SC>S R>RP RP>R RP>S S>RP',
  5: 'RES>S S>RES S>SC SC>S R>S S>R R>PC PC>R PC>SC',
  7: 'RES>S S>RES S>SC SC>S R>RP RP>R RP>S S>RP R>PC PC>R PC>PCP PCP>PC PCP>RP RP>PCP PCP>SC',
}

/** Facts A.3: complete paths; `+` opens a session with its last arc, `-` ends one on the way. */
export const COMPLETE_PATHS: Record<FlagSet, string> = {
  1: `S | R: R; SC: SC +; RES: RES +
      R | S: S; SC: S>SC +; RES: S>RES +
      SC | S: S -; R: S>R -; RES: S>RES -+
      RES | S: S -; R: S>R -; SC: S>SC -+`,
  3: `S | R: RP>R; RP: RP; SC: SC +; RES: RES +
      R | S: RP>S; RP: RP; SC: RP>S>SC +; RES: RP>S>RES +
      RP | S: S; R: R; SC: S>SC +; RES: S>RES +
      SC | S: S -; R: S>RP>R -; RP: S>RP -; RES: S>RES -+
      RES | S: S -; R: S>RP>R -; RP: S>RP -; SC: S>SC -+`,
  5: `S | R: R; SC: SC +; RES: RES +; PC: R>PC +
      R | S: S; SC: S>SC +; RES: S>RES +; PC: PC +
      SC | S: S -; R: S>R -; RES: S>RES -+; PC: EINVAL
      RES | S: S -; R: S>R -; SC: S>SC -+; PC: S>R>PC -+
      PC | S: R>S -; R: R -; SC: SC; RES: R>S>RES -+`,
  7: `S | R: RP>R; RP: RP; SC: SC +; RES: RES +; PC: RP>R>PC +; PCP: RP>PCP +
      R | S: RP>S; RP: RP; SC: RP>S>SC +; RES: RP>S>RES +; PC: PC +; PCP: RP>PCP +
      RP | S: S; R: R; SC: S>SC +; RES: S>RES +; PC: R>PC +; PCP: PCP +
      SC | S: S -; R: S>RP>R -; RP: S>RP -; RES: S>RES -+; PC: EINVAL; PCP: EINVAL
      RES | S: S -; R: S>RP>R -; RP: S>RP -; SC: S>SC -+; PC: S>RP>R>PC -+; PCP: S>RP>PCP -+
      PC | S: R>RP>S -; R: R -; RP: R>RP -; SC: PCP>SC; RES: R>RP>S>RES -+; PCP: PCP
      PCP | S: RP>S -; R: RP>R -; RP: RP -; SC: SC; RES: RP>S>RES -+; PC: PC`,
}

/** The sheet's short names by state number. */
export const SHORT_NAMES: readonly string[] = ['ERROR', 'S', 'R', 'SC', 'RES', 'RP', 'PC', 'PCP']

/** One recorded SET: from a state, to a number, what came back. */
export interface KernelAnswer {
  readonly from: string
  readonly target: number
  readonly rc: number
  /** State read back. */
  readonly state: string
  readonly fd: boolean
}

/**
 * Recorded from mtty (flags 7), each line from a fresh reset to the first state. Leaving RESUMING fails
 * there because nothing had been written: the refusal is the driver's load, not the state machine's.
 */
const KERNEL_LINES = `
M STOP -> ERROR(0) rc=-22 state=STOP fd=0
M STOP -> STOP(1) rc=0 state=STOP fd=0
M STOP -> RUNNING(2) rc=0 state=RUNNING fd=0
M STOP -> STOP_COPY(3) rc=0 state=STOP_COPY fd=1
M STOP -> RESUMING(4) rc=0 state=RESUMING fd=1
M STOP -> RUNNING_P2P(5) rc=0 state=RUNNING_P2P fd=0
M STOP -> PRE_COPY(6) rc=0 state=PRE_COPY fd=1
M STOP -> PRE_COPY_P2P(7) rc=0 state=PRE_COPY_P2P fd=1
M STOP -> ?(8) rc=-22 state=STOP fd=0
M STOP -> ?(9) rc=-22 state=STOP fd=0
M RUNNING -> ERROR(0) rc=-22 state=RUNNING fd=0
M RUNNING -> STOP(1) rc=0 state=STOP fd=0
M RUNNING -> RUNNING(2) rc=0 state=RUNNING fd=0
M RUNNING -> STOP_COPY(3) rc=0 state=STOP_COPY fd=1
M RUNNING -> RESUMING(4) rc=0 state=RESUMING fd=1
M RUNNING -> RUNNING_P2P(5) rc=0 state=RUNNING_P2P fd=0
M RUNNING -> PRE_COPY(6) rc=0 state=PRE_COPY fd=1
M RUNNING -> PRE_COPY_P2P(7) rc=0 state=PRE_COPY_P2P fd=1
M RUNNING -> ?(8) rc=-22 state=RUNNING fd=0
M RUNNING -> ?(9) rc=-22 state=RUNNING fd=0
M STOP_COPY -> ERROR(0) rc=-22 state=STOP_COPY fd=0
M STOP_COPY -> STOP(1) rc=0 state=STOP fd=0
M STOP_COPY -> RUNNING(2) rc=0 state=RUNNING fd=0
M STOP_COPY -> STOP_COPY(3) rc=0 state=STOP_COPY fd=0
M STOP_COPY -> RESUMING(4) rc=0 state=RESUMING fd=1
M STOP_COPY -> RUNNING_P2P(5) rc=0 state=RUNNING_P2P fd=0
M STOP_COPY -> PRE_COPY(6) rc=-22 state=STOP_COPY fd=0
M STOP_COPY -> PRE_COPY_P2P(7) rc=-22 state=STOP_COPY fd=0
M STOP_COPY -> ?(8) rc=-22 state=STOP_COPY fd=0
M STOP_COPY -> ?(9) rc=-22 state=STOP_COPY fd=0
M RESUMING -> ERROR(0) rc=-22 state=RESUMING fd=0
M RESUMING -> STOP(1) rc=-22 state=RESUMING fd=0
M RESUMING -> RUNNING(2) rc=-22 state=RESUMING fd=0
M RESUMING -> STOP_COPY(3) rc=-22 state=RESUMING fd=0
M RESUMING -> RESUMING(4) rc=0 state=RESUMING fd=0
M RESUMING -> RUNNING_P2P(5) rc=-22 state=RESUMING fd=0
M RESUMING -> PRE_COPY(6) rc=-22 state=RESUMING fd=0
M RESUMING -> PRE_COPY_P2P(7) rc=-22 state=RESUMING fd=0
M RESUMING -> ?(8) rc=-22 state=RESUMING fd=0
M RESUMING -> ?(9) rc=-22 state=RESUMING fd=0
M RUNNING_P2P -> ERROR(0) rc=-22 state=RUNNING_P2P fd=0
M RUNNING_P2P -> STOP(1) rc=0 state=STOP fd=0
M RUNNING_P2P -> RUNNING(2) rc=0 state=RUNNING fd=0
M RUNNING_P2P -> STOP_COPY(3) rc=0 state=STOP_COPY fd=1
M RUNNING_P2P -> RESUMING(4) rc=0 state=RESUMING fd=1
M RUNNING_P2P -> RUNNING_P2P(5) rc=0 state=RUNNING_P2P fd=0
M RUNNING_P2P -> PRE_COPY(6) rc=0 state=PRE_COPY fd=1
M RUNNING_P2P -> PRE_COPY_P2P(7) rc=0 state=PRE_COPY_P2P fd=1
M RUNNING_P2P -> ?(8) rc=-22 state=RUNNING_P2P fd=0
M RUNNING_P2P -> ?(9) rc=-22 state=RUNNING_P2P fd=0
M PRE_COPY -> ERROR(0) rc=-22 state=PRE_COPY fd=0
M PRE_COPY -> STOP(1) rc=0 state=STOP fd=0
M PRE_COPY -> RUNNING(2) rc=0 state=RUNNING fd=0
M PRE_COPY -> STOP_COPY(3) rc=0 state=STOP_COPY fd=0
M PRE_COPY -> RESUMING(4) rc=0 state=RESUMING fd=1
M PRE_COPY -> RUNNING_P2P(5) rc=0 state=RUNNING_P2P fd=0
M PRE_COPY -> PRE_COPY(6) rc=0 state=PRE_COPY fd=0
M PRE_COPY -> PRE_COPY_P2P(7) rc=0 state=PRE_COPY_P2P fd=0
M PRE_COPY -> ?(8) rc=-22 state=PRE_COPY fd=0
M PRE_COPY -> ?(9) rc=-22 state=PRE_COPY fd=0
M PRE_COPY_P2P -> ERROR(0) rc=-22 state=PRE_COPY_P2P fd=0
M PRE_COPY_P2P -> STOP(1) rc=0 state=STOP fd=0
M PRE_COPY_P2P -> RUNNING(2) rc=0 state=RUNNING fd=0
M PRE_COPY_P2P -> STOP_COPY(3) rc=0 state=STOP_COPY fd=0
M PRE_COPY_P2P -> RESUMING(4) rc=0 state=RESUMING fd=1
M PRE_COPY_P2P -> RUNNING_P2P(5) rc=0 state=RUNNING_P2P fd=0
M PRE_COPY_P2P -> PRE_COPY(6) rc=0 state=PRE_COPY fd=0
M PRE_COPY_P2P -> PRE_COPY_P2P(7) rc=0 state=PRE_COPY_P2P fd=0
M PRE_COPY_P2P -> ?(8) rc=-22 state=PRE_COPY_P2P fd=0
M PRE_COPY_P2P -> ?(9) rc=-22 state=PRE_COPY_P2P fd=0
`

/** Every recorded answer of the running kernel. */
export const KERNEL_ANSWERS: readonly KernelAnswer[] = KERNEL_LINES.trim()
  .split('\n')
  .map((line) => {
    const match = /^M (\w+) -> \S+\((\d+)\) rc=(-?\d+) state=(\w+) fd=([01])$/.exec(line)
    if (match === null) throw new Error(`unreadable oracle line: ${line}`)
    const [, from = '', target, rc, state = '', fd] = match
    return { from, target: Number(target), rc: Number(rc), state, fd: fd === '1' }
  })
