/**
 * One of the two places of the page: its screen, its state, its machine's Worker.
 *
 * @module
 */

import { DeviceState } from 'stopcopy'
import { kindOf, MACHINE_KINDS } from '../machines/kinds.ts'
import type { MachineInput } from '../machines/machine-kind.ts'
import type { Notice } from '../worker/messages.ts'
import { element, make } from './format.ts'
import { MachineClient } from './machine-client.ts'

export type SideName = 'left' | 'right'

/**
 * What is at a side. 'gone': the machine that was here runs elsewhere; its last picture stays.
 * 'undecided': it may run elsewhere, so it must not run here.
 */
export type Occupancy = 'empty' | 'running' | 'moving' | 'gone' | 'undecided'

/** Who listens to a side. */
export interface SideListener {
  notice(side: Side, notice: Notice): void
  power(side: Side): void
}

const STATE_NAMES = Object.fromEntries(Object.entries(DeviceState).map(([name, state]) => [state, name]))
const WORDS: Readonly<Record<Occupancy, string>> = {
  empty: 'empty',
  running: 'running',
  moving: 'moving',
  gone: 'moved on',
  undecided: 'undecided',
}

/** Places that a machine can be made in. */
const FREE: readonly Occupancy[] = ['empty', 'gone']

let isMarked = false

/** A side of the page. */
export class Side {
  readonly name: SideName
  readonly client: MachineClient
  readonly canvas: HTMLCanvasElement = make('canvas', { tabindex: '0', width: '640', height: '360' })
  /** State of the device here; undefined where there is none. */
  state: DeviceState | undefined
  readonly #root: HTMLElement
  readonly #power: HTMLButtonElement = make('button', { class: 'power' })
  readonly #word: HTMLElement = make('span', { class: 'word' })
  readonly #figures: HTMLElement = make('span', { class: 'figures' })
  readonly #kind: HTMLSelectElement = make('select', { 'aria-label': 'Kind of machine' })
  #occupancy: Occupancy = 'empty'
  #isBusy = false
  #isPressed = false

  constructor(name: SideName, listener: SideListener) {
    this.name = name
    this.#root = element(name)
    for (const { id, title } of MACHINE_KINDS) this.#kind.append(make('option', { value: id }, title))
    this.client = new MachineClient((notice) => {
      this.#hear(notice)
      listener.notice(this, notice)
    })
    this.#power.addEventListener('click', () => listener.power(this))
    this.#kind.addEventListener('change', () => this.#describe())
    this.#root.append(
      make(
        'div',
        { class: 'head' },
        make('h2', {}, name === 'left' ? 'Left' : 'Right'),
        this.#kind,
        this.#word,
        this.#power,
      ),
      make('div', { class: 'screen' }, this.canvas),
      make('div', { class: 'foot' }, this.#figures, make('span', { class: 'hint' })),
    )
    this.#listenToPerson()
    const canvas = this.canvas.transferControlToOffscreen()
    void this.client.ask({ ask: 'screen', canvas }, [canvas])
    this.#describe()
    this.occupancy = 'empty'
  }

  get kind(): string {
    return this.#kind.value
  }

  set kind(id: string) {
    this.#kind.value = id
    this.#describe()
  }

  get occupancy(): Occupancy {
    return this.#occupancy
  }

  set occupancy(occupancy: Occupancy) {
    this.#occupancy = occupancy
    this.#root.dataset['occupancy'] = occupancy
    this.#word.textContent = WORDS[occupancy]
    this.#power.textContent = occupancy === 'running' ? 'Switch off' : 'Switch on'
    this.#kind.disabled = !FREE.includes(occupancy)
    this.isBusy = this.#isBusy
    if (occupancy === 'empty') {
      this.state = undefined
      this.#figures.textContent = ''
      delete this.#root.dataset['state']
    }
  }

  /** Buttons of a side are not for use while something is under way. */
  set isBusy(busy: boolean) {
    this.#isBusy = busy
    this.#power.disabled = busy || this.#occupancy === 'undecided'
  }

  #hear(notice: Notice): void {
    if (notice.tell === 'arc' || notice.tell === 'reset') {
      this.state = notice.tell === 'reset' ? DeviceState.RUNNING : (notice.to as DeviceState)
      this.#root.dataset['state'] = STATE_NAMES[this.state] ?? ''
    }
    if (notice.tell !== 'status') return
    if (notice.ticks > 0 && !isMarked) {
      isMarked = true
      performance.mark('first-picture')
    }
    const { ticks, gaps, perSecond } = notice
    this.#root.dataset['ticks'] = String(ticks)
    this.#root.dataset['gaps'] = String(gaps)
    this.#figures.textContent = `tick ${ticks.toLocaleString('en')} · ${Math.round(perSecond)} pictures/s`
  }

  #describe(): void {
    const { title, hint } = kindOf(this.kind)
    this.#root.dataset['kind'] = this.kind
    const shown = this.#root.querySelector('.hint')
    if (shown !== null) shown.textContent = hint
    this.canvas.setAttribute('aria-label', `Screen of the ${this.name} machine, a ${title}. ${hint}`)
    this.canvas.setAttribute('role', 'img')
  }

  #listenToPerson(): void {
    const { canvas } = this
    const pointer = (event: PointerEvent, inside: boolean): void => {
      const { left, top, width, height } = canvas.getBoundingClientRect()
      const [x, y] = [(event.clientX - left) / width, (event.clientY - top) / height]
      this.#input({ type: 'pointer', x, y, inside, pressed: this.#isPressed })
    }
    canvas.addEventListener('pointermove', (event) => pointer(event, true))
    canvas.addEventListener('pointerdown', (event) => {
      this.#isPressed = true
      pointer(event, true)
    })
    canvas.addEventListener('pointerup', (event) => {
      this.#isPressed = false
      pointer(event, event.pointerType === 'mouse')
    })
    for (const name of ['pointerleave', 'pointercancel'] as const) {
      canvas.addEventListener(name, (event) => {
        this.#isPressed = false
        pointer(event, false)
      })
    }
    const key = (event: KeyboardEvent): void => {
      // Tab goes on to the next control, and Escape is the page's.
      if (event.key === 'Tab' || event.key === 'Escape' || event.ctrlKey || event.metaKey || event.altKey)
        return
      event.preventDefault()
      event.stopPropagation()
      this.#input({ type: 'key', code: event.code, down: event.type === 'keydown' })
    }
    canvas.addEventListener('keydown', key)
    canvas.addEventListener('keyup', key)
  }

  #input(input: MachineInput): void {
    if (this.#occupancy === 'running' || this.#occupancy === 'moving')
      void this.client.ask({ ask: 'input', input })
  }
}
