/**
 * Keys of a browser as a PC's keyboard says them: scan codes of set 1.
 *
 * @module
 */

const ROWS: readonly (readonly [first: number, codes: string])[] = [
  [0x02, 'Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal Backspace Tab'],
  [0x10, 'KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Enter ControlLeft'],
  [0x1e, 'KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backquote ShiftLeft Backslash'],
  [0x2c, 'KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash ShiftRight'],
  [0x38, 'AltLeft Space'],
]
const CODES: ReadonlyMap<string, number> = new Map(
  ROWS.flatMap(([first, codes]) => codes.split(' ').map((code, index) => [code, first + index] as const)),
)
const EXTENDED: ReadonlyMap<string, number> = new Map([
  ['ArrowUp', 0x48],
  ['ArrowLeft', 0x4b],
  ['ArrowRight', 0x4d],
  ['ArrowDown', 0x50],
])
const RELEASED = 0x80

/** What the keyboard says for a `KeyboardEvent.code`; nothing for keys that it has not. */
export function scancodesOf(code: string, down: boolean): readonly number[] {
  const released = down ? 0 : RELEASED
  const plain = CODES.get(code)
  if (plain !== undefined) return [plain | released]
  const extended = EXTENDED.get(code)
  return extended === undefined ? [] : [0xe0, extended | released]
}
